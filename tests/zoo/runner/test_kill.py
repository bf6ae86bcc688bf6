from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[3]
MODULE = "tests.zoo.runner.killable_run"
STEPS = 24  # 12 epochs of 3 batches, 2 to a step


def run(folder: Path, *options: str, kill_after: int | None = None) -> int:
    """The exit status; with `kill_after` the process is killed while it works on what follows that many steps."""
    command = [sys.executable, "-m", MODULE, str(folder), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if kill_after is not None and int(line) >= kill_after:
                process.kill()
                break
    return process.returncode


def assert_survives(folder: Path, moments: list[int]) -> None:
    assert run(folder / "undisturbed") == 0
    for moment in moments:
        assert run(folder / "killed", "--resume", kill_after=moment) == -9
    assert run(folder / "killed", "--resume") == 0
    expected, found = (
        load_file(folder / "undisturbed/final.safetensors"),
        load_file(folder / "killed/final.safetensors"),
    )
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert not list((folder / "killed" / "checkpoints").glob(".*"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "undisturbed").mkdir()
    (tmp_path / "killed").mkdir()
    return tmp_path


@pytest.mark.parametrize("seed", [0])
def test_resume_after_three_kills_gives_the_same_weights(folder, seed):
    assert_survives(folder, sorted(random.Random(seed).sample(range(STEPS - 4), 3)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_resume_after_ten_kills_gives_the_same_weights(folder, seed):
    assert_survives(folder, sorted(random.Random(seed).sample(range(STEPS - 4), 10)))
