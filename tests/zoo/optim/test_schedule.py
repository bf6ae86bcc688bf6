from __future__ import annotations

import math
from pkgutil import resolve_name

import pytest
import torch
from timm.scheduler import CosineLRScheduler, PolyLRScheduler
from torch.optim import lr_scheduler

from zoo.recipe import slots
from zoo_registry.errors import ParameterError

SCHEDULES = {name: resolve_name(string) for name, string in slots.SCHEDULES.items()}
NEEDED = {"step": {"step_size": 1}, "multistep": {"milestones": [1]}, "exponential": {"gamma": 0.5}}


def over_steps(name, steps, epochs=1, **params):
    """Factors of every step of one of our schedules."""
    schedule = SCHEDULES[name](steps, epochs, **params)
    return [schedule.scale(step, step * epochs // steps) for step in range(steps)]


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
    schedule = SCHEDULES["cosine"](20, 1, final=0.1)
    assert [schedule.scale(step, 0) for step in range(20)] == pytest.approx(expected)


def test_one_cycle_is_torchs():
    expected = rates_of_torch(
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=40, pct_start=0.25, cycle_momentum=False),
        40,
    )
    schedule = SCHEDULES["one_cycle"](40, 1, warmup=0.25)
    assert [schedule.scale(step, 0) for step in range(40)] == pytest.approx(expected)


def test_step_is_torchs_with_epochs_for_steps():
    expected = rates_of_torch(lambda optimizer: lr_scheduler.StepLR(optimizer, 3, gamma=0.5), 9)
    schedule = SCHEDULES["step"](90, 9, step_size=3, gamma=0.5)
    assert [schedule.scale(10 * epoch + 4, epoch) for epoch in range(9)] == pytest.approx(expected)


def test_multistep_is_torchs_with_epochs_for_steps():
    expected = rates_of_torch(lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [2, 5, 6], gamma=0.5), 9)
    schedule = SCHEDULES["multistep"](90, 9, milestones=[2, 5, 6], gamma=0.5)
    assert [schedule.scale(10 * epoch + 4, epoch) for epoch in range(9)] == pytest.approx(expected)


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_poly_is_torchs(power):
    expected = rates_of_torch(lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 20, power=power), 20)
    assert over_steps("poly", 20, power=power) == pytest.approx(expected)


def test_poly_with_an_end_is_timms():
    timms = PolyLRScheduler(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), t_initial=20, power=0.9, lr_min=0.1
    )
    expected = [timms._get_lr(step)[0] for step in range(20)]
    assert over_steps("poly", 20, final=0.1) == pytest.approx(expected)


def test_linear_is_torchs():
    expected = rates_of_torch(lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=20), 20)
    assert over_steps("linear", 20, final=0.1) == pytest.approx(expected)


def test_linear_after_a_warmup_is_that_of_transformers():
    transformers = pytest.importorskip("transformers")
    expected = rates_of_torch(
        lambda optimizer: transformers.get_linear_schedule_with_warmup(
            optimizer, num_warmup_steps=5, num_training_steps=25
        ),
        25,
    )
    assert over_steps("linear", 25, warmup=5)[5:] == pytest.approx(expected[5:])


def test_exponential_is_torchs_per_epoch_and_meets_it_at_every_epoch_per_step():
    expected = rates_of_torch(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5), 5)
    by_epoch = SCHEDULES["exponential"](50, 5, gamma=0.5, per="epoch")
    assert [by_epoch.scale(10 * epoch + 7, epoch) for epoch in range(5)] == pytest.approx(expected)
    assert over_steps("exponential", 50, 5, gamma=0.5)[::10] == pytest.approx(expected)


@pytest.mark.parametrize(("shape", "theirs"), [("linear", "linear"), ("cosine", "cosine"), ("sqrt", "1-sqrt")])
def test_wsd_is_that_of_transformers(shape, theirs):
    transformers = pytest.importorskip("transformers")
    expected = rates_of_torch(
        lambda optimizer: transformers.get_wsd_schedule(
            optimizer, num_warmup_steps=0, num_stable_steps=30, num_decay_steps=10, min_lr_ratio=0.1, decay_type=theirs
        ),
        40,
    )
    assert over_steps("wsd", 40, decay=10, shape=shape, final=0.1) == pytest.approx(expected)


def test_wsd_rises_stays_and_falls():
    rates = over_steps("wsd", 100, warmup=0.1, decay=0.2)
    assert rates[10:81] == [1.0] * 71
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[90] == pytest.approx(0.5)


@pytest.mark.parametrize("warmup", [0, 3])
def test_cosine_per_epoch_is_timms(warmup):
    """timm's rises from `warmup_lr_init` over `warmup_t` epochs; its cosine then begins where it would have been."""
    timms = CosineLRScheduler(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0),
        t_initial=10 - warmup, warmup_t=warmup, warmup_prefix=True, warmup_lr_init=0.25 if warmup else 0.0, lr_min=0.0,
    )  # fmt: skip
    ours = SCHEDULES["cosine"](70, 10, warmup=warmup, per="epoch")
    assert [ours.scale(7 * epoch + 3, epoch) for epoch in range(10)] == pytest.approx(
        [timms._get_lr(epoch)[0] for epoch in range(10)]
    )


@pytest.mark.parametrize("name", ["constant", "cosine", "exponential", "linear", "one_cycle", "poly", "wsd"])
def test_a_rate_that_changes_per_epoch_stays_within_one(name):
    schedule = SCHEDULES[name](100, 10, per="epoch", warmup=3, **NEEDED.get(name, {}))
    by_epoch = [{schedule.scale(10 * epoch + step, epoch) for step in range(10)} for epoch in range(10)]
    assert all(len(rates) == 1 for rates in by_epoch)
    assert len({rate for rates in by_epoch for rate in rates}) > 2


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("step", {"step_size": 11}, "a step_size of 11 epochs lies beyond the end of the run, which has 10 epochs"),
        ("multistep", {"milestones": [5, 30]}, "the milestone after epoch 30 lies beyond the end of the run"),
        ("cosine", {"warmup": 12, "per": "epoch"}, "a warm-up of 12 epochs is longer than the run, which has 10"),
        (
            "wsd",
            {"warmup": 0.5, "decay": 60},
            "50 steps of warm-up and 60 of decay are longer than the run, which has 100",
        ),
        ("wsd", {"decay": 2.5}, "decay is 2.5"),
    ],
)
def test_a_schedule_longer_than_the_run_is_refused(name, params, message):
    with pytest.raises(ParameterError, match=message):
        SCHEDULES[name](100, 10, **params)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_plateau_is_torchs(direction):
    values = [0.1, 0.3, 0.2, 0.3, 0.3, 0.1, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1, 0.1]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, direction, factor=0.5, patience=1, threshold=0.0, min_lr=0.2)
    ours = SCHEDULES["plateau"](100, 20, factor=0.5, patience=1, min_factor=0.2)
    for value in values:
        theirs.step(value)
        ours.epoch_end(value, direction)
        assert ours.scale(50, 5) == optimizer.param_groups[0]["lr"]


def test_plateau_goes_on_where_it_was():
    values = [0.5, 0.4, 0.4, 0.4, 0.4]
    whole, first, second = (SCHEDULES["plateau"](10, 5, patience=1) for _ in range(3))
    for value in values:
        whole.epoch_end(value, "max")
    for value in values[:3]:
        first.epoch_end(value, "max")
    second.load(first.state())
    for value in values[3:]:
        second.epoch_end(value, "max")
    assert second.scale(0, 0) == whole.scale(0, 0) < 1


def test_warmup_rises_in_equal_steps_to_the_full_rate():
    schedule = SCHEDULES["constant"](100, 1, warmup=4)
    assert [schedule.scale(step, 0) for step in range(6)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "poly", "step", "plateau"])
def test_warmup_below_one_is_a_part_of_the_run(name):
    options = {"step_size": 5} if name == "step" else {}
    part, count = SCHEDULES[name](200, 10, warmup=0.1, **options), SCHEDULES[name](200, 10, warmup=20, **options)
    assert [part.scale(step, 0) for step in range(200)] == [count.scale(step, 0) for step in range(200)]
    assert part.scale(20, 0) == 1.0


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(name, steps):
    schedule = SCHEDULES[name](steps, 1, **NEEDED.get(name, {}))
    assert all(0 < schedule.scale(step, 0) <= 1 for step in range(steps))


def test_a_warmup_that_is_no_number_of_steps_is_refused():
    with pytest.raises(ParameterError, match="below 1 it is a fraction of the run, from 1 on a whole number"):
        SCHEDULES["cosine"](100, 1, warmup=1.5)


def test_a_warmup_longer_than_the_run_is_refused():
    with pytest.raises(ParameterError, match="a warm-up of 500 steps is longer than the run, which has 100"):
        SCHEDULES["cosine"](100, 1, warmup=500)


def test_cosine_after_warmup_ends_near_zero():
    schedule = SCHEDULES["cosine"](110, 1, warmup=10)
    assert schedule.scale(60, 0) == pytest.approx(0.5)
    assert schedule.scale(109, 0) == pytest.approx((1 + math.cos(math.pi * 0.99)) / 2)
