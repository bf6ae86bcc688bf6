"""A backbone that learnt without its head says so, and nobody takes the head for more than random numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import zoo
from tests.zoo.test_stages import RECIPE
from zoo.runner.evaluate_saved import evaluate_saved
from zoo_registry.errors import RecipeError, RunError

HEAD = ["classifier.2.weight", "classifier.2.bias", "classifier.5.weight", "classifier.5.bias"]
SIMCLR = {"name": "contrastive", "params": {"method": "simclr", "projection": 8}}


def run(folder: Path, **slots: Any) -> zoo.RunResult:
    recipe = {key: value for key, value in {**RECIPE, **slots}.items() if value is not None}
    return zoo.run(recipe, quiet=True, out=folder)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    run(folder, task=SIMCLR, loss=None)
    return folder


def started_from(pretrained: Path) -> dict[str, Any]:
    return {"name": "basic/cnn3d", "weights": f"file:{pretrained / 'model'}"}


def test_the_model_folder_names_the_head_and_claims_no_classes(pretrained: Path) -> None:
    manifest = json.loads((pretrained / "model/model.json").read_text())
    assert manifest["untrained"] == HEAD
    assert manifest["labels"] == []
    card = (pretrained / "model/README.md").read_text()
    assert "its head was not trained" in card
    assert "classes" not in card.split("## Results")[0]


def test_fine_tuning_starts_with_a_new_head_also_for_as_many_classes(pretrained: Path, tmp_path: Path) -> None:
    zero_steps = {"name": "sgd", "params": {"lr": 0.0}}
    run(tmp_path / "tuned", model=started_from(pretrained), optim=zero_steps, run={**RECIPE["run"], "seed": 7})
    before, after = (load_file(folder / "model/model.safetensors") for folder in (pretrained, tmp_path / "tuned"))
    parameters = [name for name in before if name.endswith(("weight", "bias")) and before[name].ndim > 1]
    same = {name: torch.equal(before[name], after[name]) for name in parameters}
    assert not any(same[name] for name in HEAD if name in same)
    assert all(same[name] for name in same if name not in HEAD)
    assert json.loads((tmp_path / "tuned/model/model.json").read_text())["untrained"] == []


def test_it_is_no_teacher_of_answers(pretrained: Path, tmp_path: Path) -> None:
    task = {"name": "distillation", "params": {"teacher": started_from(pretrained)}}
    with pytest.raises(RecipeError, match="have no classifier, the data has others: what it says would be random"):
        run(tmp_path / "run", task=task)


def test_what_measures_a_run_is_missed_where_it_is_gone(pretrained: Path, tmp_path: Path) -> None:
    gan = {"name": "gan", "params": {"discriminator": {"name": "basic/clip_discriminator", "params": {"width": 4}}}}
    generator = {"name": "basic/clip_generator", "params": {"width": 4}}
    data = {**RECIPE["data"], "clip": {"frames": 8, "size": 16}}
    run(tmp_path / "gan", task=gan, model=generator, loss=None, data=data)
    assert json.loads((tmp_path / "gan/model/model.json").read_text())["labels"] == []
    measured = evaluate_saved(str(tmp_path / "gan"), device="cpu")
    assert "critic/gap" in measured
    shutil.rmtree(tmp_path / "gan/checkpoints")
    with pytest.raises(RunError, match=r"lies in its checkpoints, which are gone: critic"):
        evaluate_saved(str(tmp_path / "gan"), device="cpu")
