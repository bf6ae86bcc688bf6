"""Compression within a run: training after a strategy, bounds, and a compressed model as the start of another run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo_registry.errors import RecipeError, RunError

RECIPE: Mapping[str, Any] = {
    "zoo": 1,
    "task": "classification",
    "model": "cnn3d",
    "data": {
        "train": {"name": "motions", "params": {"count": 48}},
        "val": {"name": "motions", "params": {"count": 24}},
        "clip": {"frames": 4, "size": 16},
        "workers": 0,
    },
    "loss": "cross_entropy",
    "optim": {"name": "adamw", "params": {"lr": 0.01}},
    "run": {"epochs": 2, "batch": 8},
}
PRUNE = {"name": "prune_magnitude", "params": {"amount": 0.8}}


def run(folder: Path, **slots: Any) -> zoo.RunResult:
    return zoo.run({**RECIPE, **slots}, quiet=True, out=folder)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return zoo.load(folder).network.state_dict()


def tune(**params: Any) -> dict[str, Any]:
    return {"name": "fine_tune", "params": {"epochs": 2, "lr": 0.01, **params}}


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model has lost four fifths of its weights."""
    return run(tmp_path_factory.mktemp("runs") / "pruned", compress=[PRUNE]).folder


def test_training_after_pruning_mends_the_loss_and_keeps_the_zeros(tmp_path: Path, pruned: Path) -> None:
    tuned = run(tmp_path / "run", compress=[PRUNE, tune()])
    before = json.loads((pruned / "summary.json").read_text())
    assert tuned.summary["compressed/loss"] < before["compressed/loss"]
    after = weights(tuned.folder)
    moved = 0
    for key, value in weights(pruned).items():
        if value.dim() > 1:
            assert torch.equal(after[key] == 0, value == 0), key
            moved += int(not torch.equal(after[key], value))
    assert moved


def test_zeros_stay_where_weights_are_clustered(tmp_path: Path) -> None:
    cluster = {"name": "cluster_weights", "params": {"clusters": 16}}
    run(tmp_path / "run", compress=[PRUNE, cluster, tune(epochs=1)])
    network = zoo.load(tmp_path / "run").network
    layers = [layer.weight for layer in network.modules() if isinstance(layer, torch.nn.Conv3d | torch.nn.Linear)]
    zeros = sum(int((weight == 0).sum()) for weight in layers)
    assert zeros >= 0.79 * sum(weight.numel() for weight in layers)


@pytest.mark.parametrize("cast", ["cast_bf16", "cast_fp16"])
def test_weights_of_16_bits_are_not_trained(tmp_path: Path, cast: str) -> None:
    with pytest.raises(RunError, match="weights of 16 bits cannot be trained"):
        run(tmp_path / "run", compress=[cast, tune()])


def test_zeros_may_learn_again(tmp_path: Path) -> None:
    run(tmp_path / "run", compress=[PRUNE, tune(keep_zeros=False)])
    layers = [value for value in weights(tmp_path / "run").values() if value.dim() > 1]
    zeros = sum(int((value == 0).sum()) for value in layers)
    assert zeros < 0.6 * sum(value.numel() for value in layers)  # four fifths were; some never see a gradient


def test_a_teacher_needs_neither_labels_nor_a_loss(tmp_path: Path, pruned: Path) -> None:
    """The pruned model comes closer to what the original answers."""
    result = run(tmp_path / "run", compress=[PRUNE, tune(task=0, teacher=1.0, epochs=4)])
    (table,) = (table for table in result.tables if table.title == "Compression")
    cosine = [dict(zip(table.columns, row, strict=True))["cosine"] for row in table.rows]
    assert cosine[2] > cosine[1]
    frozen = {**RECIPE, "model": {"name": "cnn3d", "weights": f"file:{pruned}"}, "optim": None, "loss": {}}
    again = zoo.run({**frozen, "compress": [tune(task=0, teacher=1.0, epochs=1)]}, quiet=True, out=tmp_path / "again")
    assert "compressed/accuracy" in again.summary


def test_training_that_only_makes_it_worse_leaves_it_as_it_was(
    tmp_path: Path, pruned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validation says of every model that learned that it is worse than the one before."""
    from zoo.runner import fine_tuning, training

    judged = iter(range(100, 0, -1))

    def judge(*args: Any, **kwargs: Any) -> Any:
        measured = evaluate(*args, **kwargs)
        return replace(measured, metrics={**measured.metrics, "accuracy": next(judged) / 100})

    evaluate = fine_tuning.evaluate
    monkeypatch.setattr(fine_tuning, "evaluate", judge)
    monkeypatch.setattr(training, "evaluate", judge)
    start = {"name": "cnn3d", "weights": f"file:{pruned}"}
    result = run(tmp_path / "run", model=start, optim=None, compress=[tune()])
    after = weights(result.folder)
    assert all(torch.equal(value, after[key]) for key, value in weights(pruned).items())


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing to learn from"):
        run(tmp_path / "run", compress=[tune(task=0, teacher=0)])


def test_training_without_training_data_or_loss_is_refused(tmp_path: Path, pruned: Path) -> None:
    start = {"name": "cnn3d", "weights": f"file:{pruned}"}
    data = {key: value for key, value in RECIPE["data"].items() if key != "train"}
    with pytest.raises(RunError, match="no data to train a compressed model on"):
        run(tmp_path / "one", model=start, data=data, optim=None, compress=[tune()])
    with pytest.raises(RunError, match="no loss to train with"):
        run(tmp_path / "two", model=start, optim=None, loss={}, compress=[tune()])


def test_a_bound_that_is_missed_ends_the_run_with_the_last_good_model(tmp_path: Path) -> None:
    everything = {"name": "prune_magnitude", "params": {"amount": 0.999}, "max_drop": 0.001}
    with pytest.raises(RunError, match=r"compress/prune_magnitude cost more than its max_drop of 0\.001"):
        run(tmp_path / "run", compress=["cast_bf16", everything], export=["onnx"], run={"epochs": 4, "batch": 8})
    model = zoo.load(tmp_path / "run")
    assert [step["strategy"] for step in model.structure] == ["compress/cast_bf16"]
    assert next(model.parameters()).dtype is torch.bfloat16
    assert not (tmp_path / "run/model.onnx").exists()
    rejected = zoo.load(tmp_path / "run/rejected")
    assert [step["strategy"] for step in rejected.structure] == ["compress/cast_bf16", "compress/prune_magnitude"]
    report = (tmp_path / "run/report.html").read_text()
    assert "compress/prune_magnitude" in report
    assert "stage by stage" in report


def test_a_compressed_model_can_be_trained_and_compressed_further(tmp_path: Path, pruned: Path) -> None:
    start = {"name": "cnn3d", "weights": f"file:{pruned}"}
    result = run(tmp_path / "run", model=start, run={"epochs": 0, "batch": 8}, compress=["cast_bf16"])
    model = zoo.load(result.folder)
    assert [step["strategy"] for step in model.structure] == ["compress/prune_magnitude", "compress/cast_bf16"]
    before = weights(pruned)
    assert all(
        torch.equal(value.float(), before[key].bfloat16().float()) for key, value in weights(result.folder).items()
    )


def test_a_task_of_two_objectives_cannot_be_trained_on(tmp_path: Path) -> None:
    recipe = {
        "extends": "gan",
        "zoo": 1,
        "data": {"train": {"name": "motions", "params": {"count": 8}}, "workers": 0},
        "run": {"epochs": 0, "batch": 4},
        "compress": [tune()],
    }
    with pytest.raises(RunError, match="2 objectives"):
        zoo.run(recipe, quiet=True, out=tmp_path / "run")


def test_a_bound_below_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="max_drop"):
        run(tmp_path / "run", compress=[{"name": "cast_bf16", "max_drop": -1}])
