from __future__ import annotations

import time

import pytest
import torch
import yaml

import zoo
from tests.zoo.runner.in_memory import CPU, BrightOrDark, InMemoryLoader, recipe, to_float
from zoo.runner.tuning import Trial, Tuning
from zoo_registry.errors import RunError

SGD = {"name": "sgd", "params": {"lr": 0.1}}


class SlowWith(BrightOrDark):
    """Takes its time in one memory format, or fails in it."""

    def __init__(self, slow: str, *, fails: bool = False) -> None:
        super().__init__()
        self.slow, self.fails = slow, fails

    def loss(self, batch, shared):
        last = self.state[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
        if ("channels_last" if last else "contiguous") == self.slow:
            if self.fails:
                raise torch.OutOfMemoryError("CUDA out of memory")
            time.sleep(0.05)
        return super().loss(batch, shared)


def tuning(task: BrightOrDark, steps: int = 10) -> tuple[Tuning, list[str]]:
    said: list[str] = []
    batch = to_float(next(InMemoryLoader().epoch(0)))
    return Tuning(task, task.state, batch, recipe(SGD), CPU, steps, said.append), said


@pytest.mark.parametrize(("slow", "expected"), [("contiguous", "channels_last"), ("channels_last", "contiguous")])
def test_the_faster_memory_format_is_taken(slow, expected):
    tried, said = tuning(SlowWith(slow))
    assert tried.best() == {"memory_format": expected, "compile": False}
    assert said[-1].startswith(f"fastest: memory_format {expected}, compile false: ")


def test_the_task_is_as_it_was():
    task = BrightOrDark()
    before = {name: value.clone() for name, value in task.state.state_dict().items()}
    tuning(task)[0].best()
    assert all(torch.equal(value, before[name]) for name, value in task.state.state_dict().items())


def test_a_setting_that_fails_is_not_taken():
    tried, said = tuning(SlowWith("channels_last", fails=True))
    assert tried.best()["memory_format"] == "contiguous"
    assert said[1] == "memory_format channels_last, compile false: CUDA out of memory"


def test_where_nothing_works_the_error_says_why():
    class Broken(BrightOrDark):
        def loss(self, batch, shared):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(RunError, match=r"no setting that run\.auto tried works: CUDA out of memory"):
        tuning(Broken())[0].best()


@pytest.mark.parametrize(("steps", "compiled"), [(100, False), (1000, True)])
def test_compilation_is_taken_where_it_pays_in_the_steps_of_the_run(steps, compiled):
    tried, _ = tuning(BrightOrDark(), steps)
    tried.trials = [
        Trial({"memory_format": "contiguous", "compile": False}, step=0.2, before=1.0),
        Trial({"memory_format": "contiguous", "compile": True}, step=0.1, before=31.0),
    ]
    assert (tried._fastest() is tried.trials[1]) == compiled


def test_a_run_writes_what_it_chose_into_its_recipe(tmp_path):
    changes = [
        "run.epochs=1",
        "run.device=cpu",
        "run.auto=true",
        "data.train.params.count=24",
        "data.val.params.count=6",
    ]
    result = zoo.run("quickstart", changes, out=tmp_path / "run", quiet=True)
    resolved = yaml.safe_load((result.folder / "recipe.resolved.yaml").read_text())
    assert resolved["run"]["auto"] is False
    assert resolved["run"]["memory_format"] in ("contiguous", "channels_last")
