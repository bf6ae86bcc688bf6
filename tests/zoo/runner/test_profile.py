from __future__ import annotations

import json
import re
from contextlib import closing

import pytest
import torch

from tests.zoo.runner.in_memory import CPU, BrightOrDark, recipe, same_weights, train
from zoo.runner.profile import AFTER, STEPS, StepProfile, in_words

SGD = {"name": "sgd", "params": {"lr": 0.1}}


def profiled(tmp_path, epochs: int) -> tuple[BrightOrDark, list[str]]:
    task, said = BrightOrDark(), []
    train(tmp_path, task, recipe(SGD, epochs=epochs), profile=StepProfile(tmp_path / "profile", CPU, said.append))
    return task, said


@pytest.mark.parametrize("epochs", [3, 2])  # 9 steps, and 6: fewer than are wanted
def test_a_profile_is_a_trace_and_a_table(tmp_path, epochs):
    _, said = profiled(tmp_path, epochs)
    steps = min(STEPS, 3 * epochs - AFTER)
    table = (tmp_path / "profile/top.txt").read_text().splitlines()
    assert table[0] == f"where {steps} steps spent their time (processor)"
    assert len(table) == 11
    assert said[0].startswith(table[0])
    convolutions = next(line for line in table if "convolution_backward" in line)
    assert re.search(r"\d ms a step +1\.0 calls .*\(gradients of convolutions\)$", convolutions)
    events = json.loads((tmp_path / "profile/trace.json").read_text())["traceEvents"]
    named = [event["name"] for event in events if event.get("cat") == "cpu_op"]
    assert named.count("aten::convolution_backward") == steps
    assert named.count("aten::conv3d") == steps  # validation is no step


def test_a_profiled_run_learns_the_same(tmp_path):
    task, _ = profiled(tmp_path / "profiled", 3)
    plain = BrightOrDark()
    train(tmp_path / "plain", plain, recipe(SGD, epochs=3))
    assert same_weights(task, plain)


@pytest.mark.parametrize(("steps", "said"), [(1, "1 step"), (3, "3 steps")])
def test_a_run_that_is_too_short_says_so(tmp_path, steps, said):
    heard: list[str] = []
    profile = StepProfile(tmp_path / "profile", CPU, heard.append)
    for _ in range(steps):
        profile.step()
    profile.close()
    assert heard == [f"nothing was profiled: the run has {said}, and the first 3 are let pass"]
    assert not (tmp_path / "profile").exists()


def test_a_single_step_is_one_step(tmp_path):
    heard: list[str] = []
    with closing(StepProfile(tmp_path / "profile", CPU, heard.append)) as profile:
        for _ in range(AFTER + 1):
            torch.ones(2).exp()
            profile.step()
    assert heard[0].startswith("where 1 step spent its time (processor)\n")
    assert re.search(r" +1\.0 calls +aten::exp$", (tmp_path / "profile/top.txt").read_text(), re.MULTILINE)


def test_what_is_done_between_steps_is_no_step(tmp_path):
    with closing(StepProfile(tmp_path / "profile", CPU, [].append)) as profile:
        for step in range(AFTER + STEPS):
            torch.ones(2).exp()
            profile.step()
            if step % 2 == 0:
                with profile.apart(), profile.apart():  # a checkpoint after a validation
                    torch.ones(2).exp().sinh()
    table = (tmp_path / "profile/top.txt").read_text()
    assert table.startswith(f"where {STEPS} steps spent their time")
    assert re.search(r" +1\.0 calls +aten::exp$", table, re.MULTILINE)
    named = [event["name"] for event in json.loads((tmp_path / "profile/trace.json").read_text())["traceEvents"]]
    assert (named.count("aten::exp"), named.count("aten::sinh")) == (STEPS, 0)


def test_operations_are_told_in_words():
    assert in_words("aten::native_layer_norm") == "layer norms"
    assert in_words("aten::_scaled_dot_product_flash_attention") == "attention"
    assert in_words("Optimizer.step#SGD.step") == "optimiser"
