"""Measuring a finished run or model again."""

import os
from pathlib import Path

import pytest

import zoo
from tests.zoo.test_acme_tasks import recipe_of
from zoo.runner.evaluate_saved import evaluate_saved
from zoo_registry.errors import DataError, RunError


def finished(name: str, folder: Path) -> zoo.RunResult:
    recipe = recipe_of(name)
    recipe["run"] |= {"epochs": 2, "checkpoint": {}}
    return zoo.run(recipe, out=folder, quiet=True)


@pytest.mark.parametrize(("task", "metric"), [("clip_and_sound", "accuracy"), ("masked_autoencoder", "error")])
def test_a_run_gives_its_numbers_again(task: str, metric: str, tmp_path: Path) -> None:
    """A masked autoencoder is measured with its decoder, which is no part of the model that the run keeps."""
    result = finished(task, tmp_path / "run")
    again = evaluate_saved(str(tmp_path / "run"))
    assert again[metric] == pytest.approx(result.summary[f"val/{metric}"], abs=1e-6)
    assert again["samples"] == result.summary["val/samples"]


def test_a_model_alone_is_measured_on_the_source_that_is_named(tmp_path: Path) -> None:
    result = finished("clip_and_sound", tmp_path / "run")
    os.rename(tmp_path / "run/model", tmp_path / "alone")
    with pytest.raises(RunError, match="nothing says on which data"):
        evaluate_saved(str(tmp_path / "alone"))
    measured = evaluate_saved(str(tmp_path / "alone"), source="acme/tones", overrides=["films=6"])
    assert measured["accuracy"] == pytest.approx(result.summary["val/accuracy"], abs=1e-6)


def test_labels_that_the_model_does_not_know_are_named(tmp_path: Path) -> None:
    finished("clip_and_sound", tmp_path / "run")
    (tmp_path / "films.csv").write_text("path,label\na.mp4,zebra\n")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DataError, match="zebra"):
        evaluate_saved(str(tmp_path / "run"), source="manifest", overrides=[f"path={tmp_path / 'films.csv'}"])


def test_measuring_a_run_leaves_what_it_is_writing_alone(tmp_path: Path) -> None:
    finished("clip_and_sound", tmp_path / "run")
    being_written = tmp_path / "run/checkpoints/.step-000099.tmp"
    being_written.mkdir()
    evaluate_saved(str(tmp_path / "run"))
    assert being_written.is_dir()
