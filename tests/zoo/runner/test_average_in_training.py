"""Averaged weights in a training: they are judged, kept, gone on with, and what is left in the end."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.zoo.runner.in_memory import BrightOrDark, InMemoryLoader, recipe, same_weights, train
from zoo.runner.checkpoint import Checkpoints
from zoo.runner.snapshot import load_best
from zoo_registry.errors import Interrupted

EMA = {"name": "ema", "params": {"decay": 0.5, "warmup": False}}
SWA = {"name": "swa", "params": {"start": 1}}


class Noted(BrightOrDark):
    """Averages by torch beside the run, and notes the weights that are judged."""

    def __init__(self):
        super().__init__()
        self.torchs = AveragedModel(self.state, multi_avg_fn=get_ema_multi_avg_fn(0.5))
        self.judged = []

    def after_step(self, step):
        self.torchs.update_parameters(self.state)

    def predict(self, model, batch):
        if not model.training:
            self.judged.append(model[-1].weight.detach().clone())
        return super().predict(model, batch)


def test_the_average_is_judged_and_is_what_the_run_leaves(tmp_path):
    task = Noted()
    train(tmp_path, task, recipe(average=EMA, epochs=1))
    assert torch.allclose(task.judged[0], task.torchs.module[-1].weight, atol=1e-6)
    assert torch.allclose(task.state[-1].weight, task.torchs.module[-1].weight, atol=1e-6)


def test_the_weights_that_learn_are_not_those_that_are_judged(tmp_path):
    with_average, without = BrightOrDark(), BrightOrDark()
    train(tmp_path / "with", with_average, recipe(average=EMA), val=None)
    train(tmp_path / "without", without, recipe(), val=None)
    assert not same_weights(with_average, without)
    kept = Checkpoints(tmp_path / "with" / "checkpoints", 2, print).newest()
    learnt = kept.tensors["state/6.weight"]
    assert torch.equal(learnt, without.state[6].weight)


def test_a_saved_run_is_evaluated_with_its_averages(tmp_path):
    task, again = BrightOrDark(), BrightOrDark()
    train(tmp_path, task, recipe(average=EMA))
    load_best(again, Checkpoints(tmp_path / "checkpoints", 2, print))
    assert same_weights(task, again)


@pytest.mark.parametrize("average", [EMA, SWA], ids=["ema", "swa"])
@pytest.mark.parametrize("val", ["default", None], ids=["judged", "not judged"])
def test_resume_gives_the_same_weights(tmp_path, average, val):
    class Stopped(BrightOrDark):
        def after_step(self, step):
            if step == 4:
                os.kill(os.getpid(), signal.SIGINT)

    schema = recipe(average=average, epochs=3)
    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    train(tmp_path / "undisturbed", undisturbed, schema, val=val)
    with pytest.raises(Interrupted):
        train(tmp_path / "run", Stopped(), schema, val=val)
    train(tmp_path / "run", resumed, schema, resume=True, val=val)
    assert same_weights(undisturbed, resumed)


def test_a_signal_while_averages_are_judged_keeps_the_weights_that_learn(tmp_path):
    class StoppedInValidation(BrightOrDark):
        seen = 0

        def predict(self, model, batch):
            if not model.training:
                self.seen += 1
                if self.seen == 1:
                    os.kill(os.getpid(), signal.SIGINT)
            return super().predict(model, batch)

    schema = recipe(average=EMA)
    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    train(tmp_path / "undisturbed", undisturbed, schema)
    with pytest.raises(Interrupted):
        train(tmp_path / "run", StoppedInValidation(), schema)
    train(tmp_path / "run", resumed, schema, resume=True)
    assert same_weights(undisturbed, resumed)


def test_swa_leaves_statistics_of_the_averaged_weights(tmp_path):
    """Those of the last weights would be a running mean over steps: momentum 0.1, not the mean of all batches."""
    task = BrightOrDark(dropout=0.0)
    loader = InMemoryLoader(12)
    train(tmp_path, task, recipe(average=SWA, epochs=3), loader=loader, augment=None, val=None)
    norm, measured = task.state[1], nn.BatchNorm3d(4, momentum=None)
    with torch.no_grad():
        for batch in loader.epoch(2):
            measured(task.state[0](batch.inputs["clip_bcthw"].float() / 127.5 - 1))
    assert torch.allclose(norm.running_mean, measured.running_mean, atol=1e-5)
    assert torch.allclose(norm.running_var, measured.running_var, atol=1e-5)


def test_gradients_are_clipped_by_value(tmp_path):
    largest = []

    class Watching(BrightOrDark):
        def after_step(self, step):
            largest.append(max(float(parameter.grad.abs().max()) for parameter in self.state.parameters()))

    train(tmp_path, Watching(), recipe(clip_grad_value=1e-3))
    assert largest
    assert max(largest) == pytest.approx(1e-3)
