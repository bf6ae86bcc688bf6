from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from zoo.runner.device import choose_device, place
from zoo.runner.seeds import mixed_seed, seed_everything
from zoo_registry.errors import RunError


def test_the_cpu_is_always_there():
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_takes_a_gpu_when_there_is_one():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_what_is_no_device_is_refused():
    with pytest.raises(RunError, match="'gpu' is not a device") as caught:
        choose_device("gpu")
    assert "auto, cpu, cuda or cuda:N" in str(caught.value)


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(RunError, match="there is no cuda:99 on this machine"):
        choose_device("cuda:99")


def test_modules_outside_the_state_move_too():
    class WithTeacher:
        state, teacher = nn.Linear(1, 1), nn.Linear(1, 1)

    task = WithTeacher()
    task.teacher = nn.Linear(1, 1)
    place(task, torch.device("meta"))
    assert task.state.weight.is_meta
    assert task.teacher.weight.is_meta


def test_modules_within_containers_move_too():
    @dataclass
    class Weighted:
        losses: list[Any]

    class WithLosses:
        state = nn.Linear(1, 1)

    task, (listed, nested, plain) = WithLosses(), (nn.Linear(1, 1) for _ in range(3))
    task.losses = {"main": Weighted([listed, {"deep": (nested,)}]), "name": "not a module"}
    task.heads = [plain]
    task.heads.append(task.heads)  # a circle
    place(task, torch.device("meta"))
    assert all(module.weight.is_meta for module in (listed, nested, plain))


def test_seeds_of_near_steps_are_unrelated():
    seeds = {
        mixed_seed(seed, stream, step) for seed in range(10) for stream in ("step", "augment") for step in range(100)
    }
    assert len(seeds) == 2000
    assert mixed_seed(1, 23) != mixed_seed(12, 3)


def test_one_seed_gives_one_sequence_in_python_numpy_and_torch():
    import random

    import numpy

    def draw():
        seed_everything(3, "step", 7)
        return random.random(), numpy.random.rand(), float(torch.rand(()))

    assert draw() == draw()
