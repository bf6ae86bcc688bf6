"""Losses and gradients that are not finite, limits of time, and the best few checkpoints."""

from __future__ import annotations

import itertools

import pytest
import torch

from tests.zoo.runner.in_memory import BrightOrDark, recipe, same_weights, train
from zoo.runner.folder import RunFolder
from zoo_registry.errors import NonFiniteLoss

SGD = {"name": "sgd", "params": {"lr": 0.1, "momentum": 0.9}}


class Spoiled(BrightOrDark):
    """Gives NaN at some calls of its loss, the first is 0."""

    def __init__(self, *at: int) -> None:
        super().__init__(dropout=0.0)
        self.at, self.calls = set(at), itertools.count()

    def loss(self, batch, shared):
        terms = super().loss(batch, shared)
        return {"total": terms["total"] * float("nan")} if next(self.calls) in self.at else terms


def test_a_skipped_step_changes_nothing_and_is_counted(tmp_path):
    task = Spoiled(1, 4)
    train(tmp_path, task, recipe(SGD, on_non_finite="skip", log_every=1), val=None)
    rows = RunFolder(tmp_path).history()
    assert {row["step"]: row["skipped_steps"] for row in rows} == {1: 0, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2}
    assert all(torch.isfinite(value).all() for value in task.state.state_dict().values())


def test_a_run_that_skips_nothing_is_the_run_it_would_be_anyway(tmp_path):
    plain, careful = BrightOrDark(), BrightOrDark()
    train(tmp_path / "plain", plain, recipe(SGD))
    train(tmp_path / "careful", careful, recipe(SGD, on_non_finite="skip"))
    assert same_weights(plain, careful)


def test_nothing_but_skipped_steps_ends_the_run(tmp_path):
    with pytest.raises(
        NonFiniteLoss, match="the gradients of 21 steps in a row are NaN or infinite, the last at step 21"
    ):
        train(tmp_path, Spoiled(*range(100)), recipe(SGD, on_non_finite="skip", epochs=20), val=None)


def test_backing_off_goes_back_to_the_last_checkpoint_at_half_the_rate(tmp_path):
    task = Spoiled(4)  # step 5, in the second epoch
    result = train(tmp_path, task, recipe(SGD, on_non_finite="back_off", epochs=3, log_every=1), val=None)
    assert result.steps == 9
    rates = {row["step"]: row["lr"] for row in RunFolder(tmp_path).history() if row["split"] == "train"}
    assert rates == {step: 0.1 if step <= 3 else 0.05 for step in range(1, 10)}


def test_backing_off_before_the_first_epoch_ends_starts_over(tmp_path):
    task = Spoiled(0)
    train(tmp_path, task, recipe(SGD, on_non_finite="back_off", epochs=1, log_every=1), val=None)
    assert [row["lr"] for row in RunFolder(tmp_path).history()] == [0.05, 0.05, 0.05]


def test_backing_off_has_an_end(tmp_path):
    with pytest.raises(NonFiniteLoss, match="loss became NaN at step 1"):
        train(tmp_path, Spoiled(*range(1000)), recipe(SGD, on_non_finite="back_off", epochs=1), val=None)


def test_a_slower_rate_is_part_of_a_checkpoint(tmp_path):
    train(tmp_path, Spoiled(1), recipe(SGD, on_non_finite="back_off", epochs=1), val=None)
    train(tmp_path, Spoiled(), recipe(SGD, on_non_finite="back_off", epochs=2, log_every=1), val=None, resume=True)
    assert RunFolder(tmp_path).history()[-1]["lr"] == 0.05


def test_when_the_time_is_up_the_state_is_kept_and_the_run_can_go_on(tmp_path):
    undisturbed, stopped, resumed = BrightOrDark(), BrightOrDark(), BrightOrDark()
    train(tmp_path / "undisturbed", undisturbed, recipe(SGD))
    result = train(tmp_path / "run", stopped, recipe(SGD, max_time=1e-6))
    assert (result.stopped, result.steps) == ("time", 1)
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-000001"]
    train(tmp_path / "run", resumed, recipe(SGD), resume=True)
    assert same_weights(undisturbed, resumed)


def test_the_best_few_checkpoints_stay(tmp_path):
    class Measured(BrightOrDark):
        values = iter([0.5, 0.9, 0.7, 0.8, 0.1, 0.2])

        def metrics(self):
            measured, value = super().metrics(), next(self.values)
            measured.compute = lambda: {"accuracy": value}
            return measured

    result = train(tmp_path, Measured(), recipe(SGD, epochs=6, checkpoint={"keep": 1, "keep_best": 3}))
    assert (result.best, result.best_epoch) == (0.9, 2)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [f"step-{3 * epoch:06}-epoch-end" for epoch in (2, 3, 4, 6)]
