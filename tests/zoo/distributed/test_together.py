"""Several processes train one model, on the CPU over gloo."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.zoo.runner.test_kill_command import RECIPE
from zoo.distributed.processes import Processes, check_versions
from zoo.runner.checkpoint import Checkpoints
from zoo_registry.errors import RunError

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SCENARIOS = ("equal", "norms", "stop", "nan", "unused", "agree", "divided", "average", "norms_average")


def torchrun(processes: int, *command: str | Path) -> None:
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    done = subprocess.run([*run, *map(str, command)], cwd=ROOT, env=ENVIRONMENT, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """What two processes left of every scenario."""
    folder = tmp_path_factory.mktemp("two")
    torchrun(2, "tests.zoo.distributed.together", folder, *SCENARIOS)
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    """What a single process left."""
    folder = tmp_path_factory.mktemp("one")
    command = [sys.executable, "-m", "tests.zoo.distributed.together", str(folder), "equal", "average"]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=120)
    return folder


def rows(folder: Path, split: str) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


def test_two_processes_learn_what_one_does_with_the_same_batch(one, two):
    """21 samples in batches of 4: the last batch has one sample, for which the second process has a stand-in."""
    alone, both = one / "equal", two / "equal"
    for row, other in zip(rows(alone, "train"), rows(both, "train"), strict=True):
        assert (row["step"], row["lr"]) == (other["step"], other["lr"])
        assert row["loss"] == pytest.approx(other["loss"], abs=1e-5)
    for row, other in zip(rows(alone, "val"), rows(both, "val"), strict=True):
        assert row["accuracy"] == other["accuracy"]
    weights = load_file(alone / "rank-0.safetensors")
    for rank in (0, 1):
        found = load_file(both / f"rank-{rank}.safetensors")
        assert all(torch.allclose(value, found[name], atol=1e-6) for name, value in weights.items())


def test_processes_end_with_the_same_weights_and_statistics(two):
    one, other = (load_file(two / f"norms/rank-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_signal_to_one_stops_all_after_the_same_step(two):
    said = {(two / f"stop/rank-{rank}.txt").read_text() for rank in (0, 1)}
    assert len(said) == 1
    assert said.pop().startswith("stopped by SIGTERM after step 3; checkpoint written")


def test_nan_in_one_stops_all_and_names_its_samples(two):
    said = {(two / f"nan/rank-{rank}.txt").read_text() for rank in (0, 1)}
    assert len(said) == 1
    assert said.pop().startswith("loss became NaN at step 4, on the batch of train/")


def test_parameters_that_the_loss_leaves_out_are_said_in_words(two):
    assert "write run.find_unused_parameters: true" in (two / "unused/rank-0.txt").read_text()
    assert (two / "unused/aware/checkpoints/step-000006-epoch-end").is_dir()


def test_a_checkpoint_in_parts_is_read_by_one_process(two):
    """What the two processes compared is in `together.divided`; here one process reads what they wrote."""
    folder = two / "divided/parts/checkpoints"
    checkpoints = Checkpoints(folder, keep=2, warn=pytest.fail)
    newest = checkpoints.newest()
    assert newest is not None
    files = sorted(path.name for path in (folder / newest.name).iterdir())
    assert files == ["part-00000.safetensors", "part-00001.safetensors", "record.json", "tensors.safetensors"]
    whole = Checkpoints(two / "divided/whole/checkpoints", keep=2, warn=pytest.fail).newest()
    assert whole is not None
    assert newest.tensors.keys() == whole.tensors.keys()
    for name, value in whole.tensors.items():
        assert torch.allclose(value, newest.tensors[name], atol=1e-5), name


def test_an_average_of_the_weights_is_that_of_one_process(one, two):
    expected = load_file(one / "average/rank-0.safetensors")
    for rank in (0, 1):
        found = load_file(two / f"average/rank-{rank}.safetensors")
        assert all(torch.allclose(value, found[name], atol=1e-6) for name, value in expected.items())


def test_a_damaged_part_is_noticed(two, tmp_path):
    shutil.copytree(two / "divided/parts/checkpoints", tmp_path / "checkpoints")
    said: list[str] = []
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2, warn=said.append)
    newest, before = checkpoints.names()[-1], checkpoints.names()[-2]
    part = tmp_path / "checkpoints" / newest / "part-00001.safetensors"
    part.write_bytes(part.read_bytes()[:-1] + b"\x7f")
    found = checkpoints.newest()
    assert found is not None
    assert found.name == before
    assert "the checksum of part-00001.safetensors differs" in said[0]


def test_what_is_wrong_in_one_is_raised_in_all(two):
    for rank in (0, 1):
        said = (two / f"agree/rank-{rank}.txt").read_text()
        assert said.startswith("process 1 of 2: the disk of process 1 is full")


def test_what_several_processes_cannot_do_is_said_once_before_the_first_step(tmp_path):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(RECIPE)
    changes = ["--set", "run.batch=21", "--set", "run.sync_batch_norm=true"]
    command = [sys.executable, "-m", "zoo.cli", "run", recipe, *changes, "--out", out, "--processes", "2"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: --set run.batch=21: a batch of 21 cannot be divided over 2 processes",
        "  write run.batch: 20; it is of all processes together",
        "--set run.sync_batch_norm=true: torch has synchronised batch norms for GPUs only",
        "  remove it",
    ]
    assert not out.exists()


def test_a_lost_process_is_replaced_and_all_go_on_from_the_last_checkpoint(tmp_path):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(RECIPE)
    command = [sys.executable, "-m", "zoo.cli", "run", str(recipe), "--out", str(out), "--processes", "2"]
    with subprocess.Popen(
        [*command, "--restarts", "1"], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not (out / "checkpoints/step-000003-epoch-end").exists():
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "going on from" in said
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["steps"], summary["val/samples"]) == (6, 12)
    assert (out / "report.html").is_file()
    assert (out / "model/model.safetensors").is_file()


def test_processes_of_other_versions_do_not_start():
    versions = [{"torch": "2.15.0", "python": "3.11"}, {"torch": "2.14.0", "python": "3.11"}, {"torch": "2.15.0"}]
    with pytest.raises(RunError) as caught:
        check_versions(versions)
    assert [problem.message for problem in caught.value.problems] == [
        "process 0 runs torch 2.15.0 and process 1 torch 2.14.0",
        "process 0 runs python 3.11 and process 2 python None",
    ]


def test_a_process_alone_agrees_with_itself():
    alone = Processes()
    assert alone.gathered(3) == [3]
    assert alone.any(True)
    assert alone.means([1.5], [2]) == ([1.5], [2])
