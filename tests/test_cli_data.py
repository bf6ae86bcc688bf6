"""`zoo data`, as its users meet it: in fresh processes, mistakes included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_main_job import zoo
from tests.zoo.data.faulty_films import copied, moving_texture

RECIPE = """
zoo: 1
task: classification
model: cnn3d
data:
  train: {name: manifest, params: {path: films.csv}}
  val: {name: manifest, params: {path: films.csv}}
run: {epochs: 0}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five films of two classes, in a folder with their recipe: nothing is wrong with them."""
    for seed in range(5):
        moving_texture(tmp_path / f"{seed}.mp4", seed, frames=40)
    (tmp_path / "films.csv").write_text(
        "path,label,split\n0.mp4,cat,train\n1.mp4,dog,train\n4.mp4,cat,train\n2.mp4,cat,val\n3.mp4,dog,val\n"
    )
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def test_clean_data_exits_with_0_and_leaves_a_report(data: Path) -> None:
    done = zoo("data", "check", "recipe.yaml", cwd=data)
    assert "clean" in done.stdout
    assert json.loads((data / "audit/audit.json").read_text())["clean"] is True
    assert (data / "audit/audit.html").read_text().startswith("<!doctype html>")
    assert not (data / "audit/cleaned.csv").exists()


def test_a_leak_exits_with_1_and_is_mended_by_fix(data: Path) -> None:
    copied(data / "0.mp4", data / "leak.mp4")
    with (data / "films.csv").open("a") as file:
        file.write("leak.mp4,cat,val\nmissing.mp4,dog,train\n")
    done = zoo("data", "check", "recipe.yaml", "--fix", "--out", "first", cwd=data, code=1)
    assert "0.mp4 of train and leak.mp4 of val show the same (same bytes)" in done.stdout
    assert "0.mp4: shows the same as leak.mp4 of val, which stays" in done.stdout
    assert "missing.mp4: there is no such file" in done.stdout
    cleaned = ["--set", "data.train.params.path=first/cleaned.csv", "--set", "data.val.params.path=first/cleaned.csv"]
    after = json.loads(zoo("data", "check", "recipe.yaml", *cleaned, "--json", cwd=data).stdout)
    assert after["counts"] == {}
    assert after["splits"]["train"]["samples"] == 2


def test_a_cleaned_manifest_is_not_written_over(data: Path) -> None:
    (data / "audit").mkdir()
    (data / "audit/cleaned.csv").write_text("precious")
    said = zoo("data", "check", "recipe.yaml", "--fix", cwd=data, code=2).stderr
    assert "cleaned.csv: it is there already" in said
    assert "--force" in said
    assert (data / "audit/cleaned.csv").read_text() == "precious"
    zoo("data", "check", "recipe.yaml", "--fix", "--force", cwd=data)
    assert (data / "audit/cleaned.csv").read_text().splitlines()[0] == "path,label,split"


def test_one_split_can_be_checked_alone(data: Path) -> None:
    report = json.loads(zoo("data", "check", "recipe.yaml", "--split", "val", "--json", cwd=data).stdout)
    assert list(report["splits"]) == ["val"]
    assert report["splits"]["val"]["samples"] == 2


def test_a_split_that_the_recipe_lacks_exits_with_2(data: Path) -> None:
    said = zoo("data", "check", "recipe.yaml", "--split", "test", cwd=data, code=2).stderr
    assert "the recipe names no data.test" in said
    assert "it names train, val" in said


def test_an_unknown_command_names_the_nearest(tmp_path: Path) -> None:
    assert "'check'" in zoo("data", "chek", cwd=tmp_path, code=2).stderr


def test_the_help_imports_no_torch(tmp_path: Path) -> None:
    probe = (
        "import sys; from zoo.cli import main\n"
        "try: main(['data', 'check', '--help'])\nexcept SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, check=True, capture_output=True, timeout=120)
