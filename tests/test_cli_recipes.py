"""`zoo recipes`, `zoo recipe copy`, `zoo diff` and `zoo run --locked`, as their users meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_main_job import zoo

TINY = (
    "zoo: 1\nmodel: basic/cnn3d\ntask: classification\nloss: cross_entropy\n"
    "data:\n  train: {name: acme/tones, params: {films: 6}}\n  val: {name: acme/tones, params: {films: 6}}\n"
    "  workers: 0\noptim: adam\nrun: {epochs: 1, device: cpu}\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and its run."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "tiny.yaml").write_text(TINY)
    zoo("run", "tiny.yaml", "--out", "first", cwd=folder)
    return folder


def test_recipes_are_listed_and_copied(tmp_path: Path) -> None:
    names = [line.split("\t")[0] for line in zoo("recipes", cwd=tmp_path).stdout.splitlines()]
    assert "recipes/quickstart" in names
    assert zoo("recipe", "copy", "textbook", cwd=tmp_path).stdout == "textbook.yaml\n"
    assert "fine" in zoo("check", "textbook.yaml", cwd=tmp_path).stdout
    assert "is there already" in zoo("recipe", "copy", "textbook", cwd=tmp_path, code=2).stderr


def test_a_locked_run_repeats_the_numbers_bit_for_bit(folder: Path) -> None:
    zoo("run", "./first", "--locked", "--out", "again", cwd=folder)
    rows = [
        json.loads(line)
        for line in zoo("diff", "first/recipe.resolved.yaml", "again", "--json", cwd=folder).stdout.splitlines()
    ]
    assert rows == []
    rows = [json.loads(line) for line in zoo("diff", "./first", "./again", "--json", cwd=folder).stdout.splitlines()]
    repeated = {row["name"] for row in rows if not row["name"].startswith("energy/")}
    assert repeated <= {"seconds", "name", "recipe"}  # what it is called, how long it took and what that drew


def test_a_locked_run_does_not_begin_with_anything_else(folder: Path) -> None:
    lock = folder / "first" / "zoo.lock"
    before = lock.read_text()
    lines = [line if "torch:" not in line else "  torch: 2.0.1" for line in before.splitlines()]
    lock.write_text("\n".join(lines).replace("threads:", "threads: 9 #") + "\n")
    try:
        said = zoo(
            "run", "./first", "--locked", "--out", "other", "--set", "data.train.params.films=9", cwd=folder, code=2
        )
    finally:
        lock.write_text(before)
    assert "packages.torch was 2.0.1, is" in said.stderr
    assert "data.train was" in said.stderr
    assert "leave --locked out" in said.stderr
    assert not (folder / "other").exists()
    assert "has no lock" in zoo("run", "quickstart", "--locked", cwd=folder, code=2).stderr


def test_a_claim_is_measured_again(folder: Path) -> None:
    said = zoo("verify", "first", "--json", cwd=folder)
    rows = {row["metric"]: row for row in map(json.loads, said.stdout.splitlines())}
    assert {"accuracy", "f1", "loss"} <= rows.keys()
    assert all(abs(row["difference"]) < 1e-6 for row in rows.values())
    manifest = folder / "first" / "model" / "model.json"
    before = manifest.read_text()
    claimed = json.loads(before)
    claimed["metrics"]["val/accuracy"] += 0.25
    manifest.write_text(json.dumps(claimed))
    try:
        said = zoo("verify", "first", cwd=folder, code=1)
    finally:
        manifest.write_text(before)
    assert next(line.split("\t")[3] for line in said.stdout.splitlines() if line.startswith("accuracy")) == "-0.2500"
    assert "accuracy: off by more than 0.005" in said.stderr


def test_a_model_that_claims_nothing_is_not_verified(folder: Path) -> None:
    said = zoo("verify", "first", "--split", "test", cwd=folder, code=2).stderr
    assert "claims nothing of test data" in said


def test_a_damaged_summary_is_said(folder: Path) -> None:
    summary = folder / "first" / "summary.json"
    before = summary.read_text()
    summary.write_text(before[:20])
    try:
        said = zoo("diff", "first", "first", cwd=folder, code=2).stderr
    finally:
        summary.write_text(before)
    assert "summary.json cannot be read" in said


def test_differences_of_two_recipes_are_shown_side_by_side(folder: Path) -> None:
    said = zoo("diff", "tiny.yaml", "textbook", cwd=folder).stdout.splitlines()
    assert said[0] == "recipe"
    assert next(line.split() for line in said if "optim.name" in line) == ["optim.name", '"adam"', '"sgd"']
    assert "no difference" in zoo("diff", "quickstart", "quickstart", cwd=folder).stdout
