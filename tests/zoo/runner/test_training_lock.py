from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.zoo.runner.in_memory import BrightOrDark, train
from zoo.runner.training_lock import training_lock
from zoo_registry.errors import RunError

HOLD = """
import sys, time
from pathlib import Path
from zoo.runner.training_lock import training_lock
with training_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_refused_while_another_process_trains_there_and_free_once_that_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            with pytest.raises(RunError, match=rf"process {other.pid} on .* is training in"), training_lock(tmp_path):
                pass
        finally:
            other.kill()
    with training_lock(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_training_holds_its_folder(tmp_path):
    held = []

    class Looking(BrightOrDark):
        def after_step(self, step):
            held.append([path.name for path in tmp_path.glob(".training-*")])

    train(tmp_path, Looking())
    assert held == [[f".training-{socket.gethostname()}-{os.getpid()}"]] * 6
    assert not list(tmp_path.glob(".training-*"))


def test_training_is_refused_in_a_folder_that_is_held(tmp_path):
    (tmp_path / f".training-{socket.gethostname()}-{os.getppid()}").touch()
    with pytest.raises(RunError, match="is training in"):
        train(tmp_path, BrightOrDark(), resume=True)


def test_what_runs_on_another_machine_cannot_be_known(tmp_path):
    (tmp_path / ".training-node-17.example-4321").touch()
    with (
        pytest.raises(RunError, match=r"process 4321 on node-17\.example is training in") as caught,
        training_lock(tmp_path),
    ):
        pass
    assert f"if it runs no more, delete {tmp_path / '.training-node-17.example-4321'}" in str(caught.value)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(RunError, match=r"cannot write to .*missing: No such file"), training_lock(tmp_path / "missing"):
        pass
