"""What holds for a run as a whole: what it leaves, what it refuses, what it says of itself."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

import zoo
from zoo.recipe import without_folders
from zoo_registry.errors import ExportError, Interrupted, Problem, RecipeError, RunError, ZooError

RECIPE: Mapping[str, Any] = {
    "zoo": 1,
    "task": "classification",
    "model": "cnn3d",
    "data": {
        "train": {"name": "motions", "params": {"count": 24}},
        "val": {"name": "motions", "params": {"count": 12}},
        "clip": {"frames": 4, "size": 16},
        "workers": 0,
    },
    "loss": "cross_entropy",
    "optim": {"name": "sgd", "params": {"lr": 0.01}},
    "run": {"epochs": 1, "batch": 8},
}


def run(folder: Path, *, resume: bool = False, **slots: Any) -> zoo.RunResult:
    where: dict[str, Any] = {"resume": folder} if resume else {"out": folder}
    return zoo.run(None if resume else {**RECIPE, **slots}, quiet=True, **where)


def test_the_model_folder_of_a_run_is_what_is_published(tmp_path: Path) -> None:
    run(tmp_path / "run", publish={"repo": f"file:{tmp_path / 'published'}", "licence": "mit"})
    ours, theirs = (
        {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "run/model", tmp_path / "published")
    )
    assert ours == theirs
    assert {"model.safetensors", "model.json", "recipe.resolved.yaml", "zoo.lock", "metrics.json", "README.md"} <= ours


def test_a_compressed_model_claims_its_own_numbers(tmp_path: Path) -> None:
    """Almost everything is pruned away, so the two differ."""
    result = run(tmp_path / "run", compress=[{"name": "prune_magnitude", "params": {"amount": 0.99}}])
    claimed = json.loads((tmp_path / "run/model/metrics.json").read_text())
    assert claimed["val/loss"] == result.summary["compressed/loss"]
    assert claimed["original/val/loss"] == result.summary["val/loss"]
    assert claimed["val/loss"] != claimed["original/val/loss"]
    assert f"value: {round(claimed['val/loss'], 6)}" in (tmp_path / "run/model/README.md").read_text()


def test_a_failed_export_keeps_what_training_made(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="bfloat16"):
        run(tmp_path / "run", compress=["cast_bf16"], export=["onnx"])
    assert json.loads((tmp_path / "run/summary.json").read_text())["val/samples"] == 12
    assert (tmp_path / "run/report.html").is_file()
    assert zoo.load(tmp_path / "run").labels
    assert not (tmp_path / "run/model.onnx").exists()


def test_what_cannot_be_published_is_said_before_training(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="licence"):
        run(tmp_path / "run", publish={"repo": "file:somewhere"})
    with pytest.raises(RecipeError, match="names no repository"):
        run(tmp_path / "run", publish={"repo": "nowhere", "licence": "mit"})
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_start_leaves_its_place_free(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"no GPU|cuda"):
        run(tmp_path / "run", run={"device": "cuda:63"})
    run(tmp_path / "run")


def test_a_resumed_run_keeps_its_name(tmp_path: Path) -> None:
    run(tmp_path / "run")
    name = json.loads((tmp_path / "run/summary.json").read_text())["recipe"]
    assert run(tmp_path / "run", resume=True).summary["recipe"] == name


def test_a_run_is_not_resumed_on_other_data(tmp_path: Path) -> None:
    films = tmp_path / "films/train/left"
    films.mkdir(parents=True)
    source = {"name": "folder", "params": {"path": str(tmp_path / "films")}}
    for name, grey in (("a", 10), ("b", 200)):
        _picture(films / f"{name}.png", grey)
    run(tmp_path / "run", data={**RECIPE["data"], "train": source, "val": None})
    _picture(films / "c.png", 90)
    with pytest.raises(RunError, match=r"trained on something else: data\.train"):
        run(tmp_path / "run", resume=True)


def _picture(path: Path, grey: int) -> None:
    from PIL import Image

    Image.new("RGB", (16, 16), (grey, grey, grey)).save(path)


def test_one_override_may_be_a_plain_string(tmp_path: Path) -> None:
    result = zoo.run(RECIPE, "run.epochs=0", out=tmp_path / "run", quiet=True)
    assert result.summary["steps"] == 0


def test_published_files_name_no_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside, outside = str(tmp_path / "films/labels.csv"), "/somebody/else/labels.csv"
    data = {"paths": [inside, outside], "uri": f"file:{inside}", "number": 3, "name": "basic/cnn3d"}
    assert without_folders(data) == {
        "paths": ["films/labels.csv", "labels.csv"],
        "uri": "file:films/labels.csv",
        "number": 3,
        "name": "basic/cnn3d",
    }


def test_the_error_of_a_late_stage_is_what_its_stage_says(tmp_path: Path) -> None:
    assert issubclass(ExportError, ZooError)
    with pytest.raises(RunError) as caught:
        run(tmp_path / "run", compress=["cast_bf16"], export=["onnx"])
    assert "leave cast_bf16 out" in str(caught.value)
    assert caught.value.exit_code == 2


class Listening:
    """An observer that keeps what it is told at the end."""

    told: ClassVar[dict[str, Any]] = {}

    def run_end(self, summary: Mapping[str, Any]) -> None:
        Listening.told = dict(summary)


def test_observers_tell_a_run_that_failed_after_training_from_one_that_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.runner.pipeline.build_observers", lambda slots, provided={}: [Listening()])
    run(tmp_path / "fine")
    assert "seconds" in Listening.told
    monkeypatch.setattr("zoo.runner.stages._Stages._report", lambda self: self.failed.append(Problem("no report")))
    with pytest.raises(RunError, match="no report"):
        run(tmp_path / "failed")
    assert "val/accuracy" in Listening.told
    assert "seconds" not in Listening.told


def test_a_run_that_goes_on_by_its_recipe_keeps_what_auto_chose(tmp_path: Path) -> None:
    recipe = {**RECIPE, "run": {**RECIPE["run"], "auto": True, "max_time": 1e-6}}
    zoo.run(recipe, quiet=True, out=tmp_path / "run")
    before = (tmp_path / "run/recipe.resolved.yaml").read_text()
    assert "auto: false" in before
    zoo.run(recipe, quiet=True, resume=tmp_path / "run")
    assert (tmp_path / "run/recipe.resolved.yaml").read_text() == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_outside_of_training_is_said_and_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.setattr("zoo.runner.stages._Stages._report", lambda self: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=f"stopped by {number.name} outside of training") as caught:
        run(tmp_path / "run")
    assert caught.value.exit_code == code
    assert signal.getsignal(signal.SIGTERM) is before


def test_skipped_steps_are_counted_also_where_nothing_else_is_left(tmp_path: Path) -> None:
    optim = {"name": "adamw", "params": {"lr": 1e30}}
    result = run(tmp_path / "run", optim=optim, run={"epochs": 2, "batch": 8, "on_non_finite": "skip", "log_every": 1})
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    counts = [row["skipped_steps"] for row in rows if row["split"] == "train"]
    assert counts == sorted(counts)
    assert result.summary["skipped_steps"] == counts[-1] > 0
