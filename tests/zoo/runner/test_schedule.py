from __future__ import annotations

import math
from pkgutil import resolve_name

import pytest
import torch
from torch.optim import lr_scheduler

from zoo.recipe import slots
from zoo_registry.errors import ParameterError

SCHEDULES = {name: resolve_name(string) for name, string in slots.SCHEDULES.items()}


def rates_of_torch(make, steps):
    """Learning rates of one of torch's schedulers, for a base rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs():
    expected = rates_of_torch(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.1), 20)
    schedule = SCHEDULES["cosine"](20, final=0.1)
    assert [schedule.scale(step, 0) for step in range(20)] == pytest.approx(expected)


def test_one_cycle_is_torchs():
    expected = rates_of_torch(
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=40, pct_start=0.25, cycle_momentum=False),
        40,
    )
    schedule = SCHEDULES["one_cycle"](40, warmup=0.25)
    assert [schedule.scale(step, 0) for step in range(40)] == pytest.approx(expected)


def test_step_is_torchs_with_epochs_for_steps():
    expected = rates_of_torch(lambda optimizer: lr_scheduler.StepLR(optimizer, 3, gamma=0.5), 9)
    schedule = SCHEDULES["step"](90, step_size=3, gamma=0.5)
    assert [schedule.scale(10 * epoch + 4, epoch) for epoch in range(9)] == pytest.approx(expected)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_plateau_is_torchs(direction):
    values = [0.1, 0.3, 0.2, 0.3, 0.3, 0.1, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1, 0.1]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, direction, factor=0.5, patience=1, threshold=0.0, min_lr=0.2)
    ours = SCHEDULES["plateau"](100, factor=0.5, patience=1, min_factor=0.2)
    for value in values:
        theirs.step(value)
        ours.epoch_end(value, direction)
        assert ours.scale(50, 5) == optimizer.param_groups[0]["lr"]


def test_plateau_goes_on_where_it_was():
    values = [0.5, 0.4, 0.4, 0.4, 0.4]
    whole, first, second = (SCHEDULES["plateau"](10, patience=1) for _ in range(3))
    for value in values:
        whole.epoch_end(value, "max")
    for value in values[:3]:
        first.epoch_end(value, "max")
    second.load(first.state())
    for value in values[3:]:
        second.epoch_end(value, "max")
    assert second.scale(0, 0) == whole.scale(0, 0) < 1


def test_warmup_rises_in_equal_steps_to_the_full_rate():
    schedule = SCHEDULES["constant"](100, warmup=4)
    assert [schedule.scale(step, 0) for step in range(6)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]


@pytest.mark.parametrize("name", ["constant", "cosine", "step", "plateau"])
def test_warmup_below_one_is_a_part_of_the_run(name):
    options = {"step_size": 5} if name == "step" else {}
    part, count = SCHEDULES[name](200, warmup=0.1, **options), SCHEDULES[name](200, warmup=20, **options)
    assert [part.scale(step, 0) for step in range(200)] == [count.scale(step, 0) for step in range(200)]
    assert part.scale(20, 0) == 1.0


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(name, steps):
    schedule = SCHEDULES[name](steps, **({"step_size": 1} if name == "step" else {}))
    assert all(0 < schedule.scale(step, 0) <= 1 for step in range(steps))


def test_a_warmup_that_is_no_number_of_steps_is_refused():
    with pytest.raises(ParameterError, match="below 1 it is a fraction of the run, from 1 on a whole number"):
        SCHEDULES["cosine"](100, warmup=1.5)


def test_a_warmup_longer_than_the_run_is_refused():
    with pytest.raises(ParameterError, match="a warm-up of 500 steps is longer than the run, which has 100"):
        SCHEDULES["cosine"](100, warmup=500)


def test_cosine_after_warmup_ends_near_zero():
    schedule = SCHEDULES["cosine"](110, warmup=10)
    assert schedule.scale(60, 0) == pytest.approx(0.5)
    assert schedule.scale(109, 0) == pytest.approx((1 + math.cos(math.pi * 0.99)) / 2)
