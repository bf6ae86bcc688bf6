"""The command itself, with real films, a data worker and an augmentation, killed while it trains."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPE = """
zoo: 1
task: classification
model: basic/cnn3d
data:
  train: {name: sources/motions, params: {count: 60, size: 32, frames: 8}}
  val: {name: sources/motions, params: {count: 12, size: 32, frames: 8}}
  clip: {frames: 4, size: 32}
  workers: 1
augment: [augment/horizontal_flip]
loss: losses/cross_entropy
optim: adamw
run: {epochs: 2, batch: 20, device: cpu, threads: 1, checkpoint: {every_steps: 1}}
"""  # 3 steps an epoch


def zoo_run(*arguments: str | Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "zoo.cli", "run", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_once_there_is(path: Path, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not path.exists():
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9, f"ended by itself before it wrote {path.name}"


@pytest.mark.parametrize("step", [4])
def test_a_killed_command_that_goes_on_writes_the_same_model(tmp_path, step):
    recipe, undisturbed, killed = tmp_path / "recipe.yaml", tmp_path / "undisturbed", tmp_path / "killed"
    recipe.write_text(RECIPE)
    assert zoo_run(recipe, "--out", undisturbed).wait() == 0
    kill_once_there_is(killed / f"checkpoints/step-{step:06}", zoo_run(recipe, "--out", killed))
    assert not (killed / "model").exists()
    assert zoo_run("--resume", killed).wait() == 0
    weights = "model/model.safetensors"
    assert (killed / weights).read_bytes() == (undisturbed / weights).read_bytes()
