"""`zoo data check`, as its users meet it, mistakes included."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.test_main_job import zoo
from tests.zoo.data.faulty_films import copied, moving_texture
from zoo.cli import main

Check = Callable[..., tuple[int, str, str]]

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


@pytest.fixture
def check(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """`zoo data check recipe.yaml WORDS...` in the folder of the data: exit code, output and errors."""
    monkeypatch.chdir(data)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["data", "check", "recipe.yaml", "--workers", "0", *words])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_clean_data_exits_with_0_and_leaves_a_report(data: Path) -> None:
    done = zoo("data", "check", "recipe.yaml", cwd=data)  # a fresh process, with workers of its own
    assert "clean" in done.stdout
    assert json.loads((data / "audit/audit.json").read_text())["clean"] is True
    assert (data / "audit/audit.html").read_text().startswith("<!doctype html>")
    assert not (data / "audit/cleaned.csv").exists()


def test_a_leak_exits_with_1_and_is_mended_by_fix(data: Path, check: Check) -> None:
    copied(data / "0.mp4", data / "leak.mp4")
    with (data / "films.csv").open("a") as file:
        file.write("leak.mp4,cat,val\nmissing.mp4,dog,train\n")
    code, said, _ = check("--fix", "--out", "first")
    assert code == 1
    assert "0.mp4 of train and leak.mp4 of val show the same 1.6 s (same bytes)" in said
    assert "0.mp4: shows what leak.mp4 of val shows, which stays" in said
    assert "missing.mp4: there is no such file" in said
    cleaned = ["--set", "data.train.params.path=first/cleaned.csv", "--set", "data.val.params.path=first/cleaned.csv"]
    code, said, _ = check(*cleaned, "--json")
    after = json.loads(said)
    assert code == 0
    assert after["counts"] == {}
    assert after["splits"]["train"]["samples"] == 2


def test_a_cleaned_manifest_is_not_written_over(data: Path, check: Check) -> None:
    (data / "audit").mkdir()
    (data / "audit/cleaned.csv").write_text("precious")
    code, _, said = check("--fix")
    assert code == 2
    assert "cleaned.csv: it is there already" in said
    assert "--force" in said
    assert (data / "audit/cleaned.csv").read_text() == "precious"
    code, _, _ = check("--fix", "--force")
    assert code == 0
    assert (data / "audit/cleaned.csv").read_text().splitlines()[0] == "path,label,split"


def test_one_split_can_be_checked_alone(check: Check) -> None:
    code, said, _ = check("--split", "val", "--json")
    report = json.loads(said)
    assert code == 0
    assert list(report["splits"]) == ["val"]
    assert report["splits"]["val"]["samples"] == 2


def test_a_split_that_the_recipe_lacks_exits_with_2(check: Check) -> None:
    code, _, said = check("--split", "test")
    assert code == 2
    assert "the recipe names no data.test" in said
    assert "it names train, val" in said


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "chek"])
    assert ended.value.code == 2
    assert "'check'" in capsys.readouterr().err


def test_the_help_imports_no_torch(tmp_path: Path) -> None:
    probe = (
        "import sys; from zoo.cli import main\n"
        "try: main(['data', 'check', '--help'])\nexcept SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, check=True, capture_output=True, timeout=120)


def test_the_time_limit_of_the_recipes_decoder_counts(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(0, 3)  # every look at the clock is three seconds later
    monkeypatch.setattr("zoo.data.decode.film.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    code, said, _ = check("--split", "val", "--json", "--set", "data.decoder.time_limit=2")
    assert code == 1
    reasons = [finding["evidence"]["reason"] for finding in json.loads(said)["findings"]]
    assert reasons == ["decoding it takes longer than 2 s"] * 2


def test_the_recipes_decoder_is_the_one_that_reads(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """TorchCodec is not there: that is no fault of any file, and nothing is read."""
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)  # what Python takes for not installed
    code, said, error = check("--set", "data.decoder.name=torchcodec")
    assert (code, said) == (2, "")
    assert "the decoder torchcodec is not installed" in error
    assert 'pip install "videozoo[torchcodec]"' in error


def test_a_missing_decoder_is_said_by_worker_processes_too(data: Path) -> None:
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        done = zoo("data", "check", "recipe.yaml", "--set", "data.decoder.name=torchcodec", cwd=data, code=2)
        assert "the decoder torchcodec" in done.stderr
    else:
        pytest.skip("TorchCodec is installed")


def test_hardware_that_nobody_knows_is_refused(check: Check) -> None:
    code, _, error = check("--set", "data.decoder.hardware=abacus")
    assert code == 2
    assert "pyav decodes on no device called 'abacus'" in error
