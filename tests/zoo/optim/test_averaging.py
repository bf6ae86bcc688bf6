"""Averaged weights: as timm and torch average them, in evaluation, and through a checkpoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator

import pytest
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from zoo.optim.averaging import Average, ExponentialAverage, StochasticAverage, make_average, with_averages
from zoo.recipe.schema import AverageSlot
from zoo_registry.errors import ParameterError, RunError


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))


def batches(count: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(8, 3, generator=generator) * (1 + number) for number in range(count)]


def learn(model: nn.Module, steps: int) -> Iterator[int]:
    """Train for some steps; gives the number of steps done."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step, batch in enumerate(batches(steps), start=1):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model(batch).square().sum().backward()
        optimizer.step()
        yield step


def averaged(average: Average, model: nn.Module) -> dict[str, Tensor]:
    with average.swapped_in():
        return copy.deepcopy(model.state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


@pytest.mark.parametrize("warmup", [True, False])
def test_ema_is_that_of_timm(warmup):
    model = network()
    ours = ExponentialAverage(model, 30, 1, decay=0.9, warmup=warmup)
    timms = ModelEmaV3(model, decay=0.9, use_warmup=warmup)
    for step in learn(model, 30):
        ours.update(step, 0)
        timms.update(model, step=step)
    assert same(averaged(ours, model), timms.module.state_dict())
    assert not same(model.state_dict(), timms.module.state_dict())


def test_ema_of_every_third_step_is_torchs_over_those():
    model = network()
    ours = ExponentialAverage(model, 30, 1, decay=0.8, warmup=False, every=3)
    torchs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.8), use_buffers=True)
    for step in learn(model, 30):
        ours.update(step, 0)
        if step % 3 == 0:
            torchs.update_parameters(model)
    assert ours.count == 10
    found, expected = averaged(ours, model), torchs.module.state_dict()
    assert found.pop("1.num_batches_tracked") == 30
    del expected["1.num_batches_tracked"]  # torch averages this count too, and rounds it down
    assert same(found, expected)


def test_swa_and_its_statistics_are_those_of_torch():
    model = network()
    ours = StochasticAverage(model, 20, 10, start=0.5)
    torchs = AveragedModel(model)
    for step in learn(model, 20):
        ours.update(step, (step - 1) // 2)
        if step > 10 and step % 2 == 0:
            torchs.update_parameters(model)
    assert ours.needs_statistics(model)
    torch.manual_seed(5)
    ours.refresh(model, batches(4, seed=1), model)
    torch.manual_seed(5)
    update_bn(batches(4, seed=1), torchs.module)
    assert not ours.needs_statistics(model)
    assert same(averaged(ours, model), torchs.module.state_dict())


def test_measuring_statistics_leaves_those_of_the_training_and_frozen_ones_alone():
    model = nn.Sequential(network(), nn.BatchNorm1d(2))
    model[1].eval()
    ours = StochasticAverage(model, 4, 2, start=1)
    for step in learn(model, 4):
        ours.update(step, (step - 1) // 2)
    before = copy.deepcopy(model.state_dict())
    ours.refresh(model, batches(3), model)
    assert same(model.state_dict(), before)
    assert torch.equal(averaged(ours, model)["1.running_mean"], before["1.running_mean"])
    assert not torch.equal(averaged(ours, model)["0.1.running_mean"], before["0.1.running_mean"])


def test_before_the_first_update_the_weights_are_what_is_evaluated():
    model = network()
    average = StochasticAverage(model, 20, 10, start=5)
    for step in learn(model, 10):
        average.update(step, step // 2)
    assert average.count == 0
    assert not average.needs_statistics(model)
    assert same(averaged(average, model), model.state_dict())


def test_what_does_not_learn_is_not_kept():
    model = network()
    model[0].requires_grad_(False)
    average = ExponentialAverage(model, 3, 1)
    for step in learn(model, 3):
        average.update(step, 0)
    assert not any(name.startswith("0.") for name in average.state()[0])


@pytest.mark.parametrize("kind", [ExponentialAverage, StochasticAverage])
def test_an_average_goes_on_from_its_saved_state(kind):
    options = {"start": 0.2}
    model, again = network(), network()
    whole, first, second = (kind(each, 20, 10, **options) for each in (model, model, again))
    for step in learn(model, 20):
        whole.update(step, (step - 1) // 2)
        if step <= 13:
            first.update(step, (step - 1) // 2)
        if step == 13:
            tensors, record = first.state()
            second.load(copy.deepcopy(tensors), json.loads(json.dumps(record)))
        if step > 13:
            again.load_state_dict(model.state_dict())
            second.update(step, (step - 1) // 2)
    assert second.count == whole.count > 2
    assert same(averaged(second, again), averaged(whole, model))


def test_a_checkpoint_that_is_written_in_an_evaluation_holds_the_weights_that_learn():
    model = network()
    average = ExponentialAverage(model, 10, 1, decay=0.9, warmup=False)
    for step in learn(model, 10):
        average.update(step, 0)
    learning, kept = copy.deepcopy(model.state_dict()), copy.deepcopy(average.state()[0])
    with average.swapped_in():
        assert same(average.state()[0], kept)
        with average.swapped_out():
            assert same(model.state_dict(), learning)
        assert not same(model.state_dict(), learning)
    assert same(model.state_dict(), learning)


def test_the_result_is_the_average_whether_settled_or_read_from_a_checkpoint():
    model = network()
    average = ExponentialAverage(model, 10, 1, decay=0.9, warmup=False)
    for step in learn(model, 10):
        average.update(step, 0)
    from_checkpoint = with_averages(copy.deepcopy(model.state_dict()), *copy.deepcopy(average.state()))
    average.settle()
    assert same(model.state_dict(), from_checkpoint)


def test_tied_weights_stay_tied_and_are_averaged_once():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    torchs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    average = ExponentialAverage(model, 6, 1, decay=0.5, warmup=False)
    for step in learn(model, 6):
        average.update(step, 0)
        torchs.update_parameters(model)
    learning = copy.deepcopy(model.state_dict())
    assert same(averaged(average, model), torchs.module.state_dict())
    assert same(model.state_dict(), learning)
    assert same(with_averages(learning, *average.state()), torchs.module.state_dict())


def test_an_average_of_half_precision_weights_moves_where_they_could_not():
    """A change of 1/1000 of 1.0 is lost in bfloat16, whose neighbours of 1 are 1/128 apart."""
    model = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    average = ExponentialAverage(model, 100, 1, decay=0.999, warmup=False)
    for step in range(1, 101):
        nn.init.constant_(model.weight, 1.0 if step == 1 else 2.0)
        average.update(step, 0)
    assert float(average.state()[0]["weight"]) == pytest.approx(2 - 0.999**99, abs=1e-4)


def test_memory_formats_survive_an_exchange():
    model = nn.Conv2d(8, 8, 3).to(memory_format=torch.channels_last)
    average = ExponentialAverage(model, 1, 1)
    average.update(1, 0)
    at = model.weight.data_ptr()
    with average.swapped_in():
        assert model.weight.data_ptr() == at
        assert model.weight.is_contiguous(memory_format=torch.channels_last)


def test_averages_of_another_model_are_refused():
    average = ExponentialAverage(network(), 10, 1)
    with pytest.raises(RunError, match="of another model"):
        average.load({"0.weight": torch.zeros(1)}, {"count": 1})


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("swa", {"start": 10}, "an average from epoch 10 on begins after the run, which has 10 epochs"),
        ("ema", {"start": 1.5}, "start is 1.5"),
        ("swa", {"start": 8, "every": 4}, "no epoch is averaged: every 4 epochs, from 8 on, of 10"),
    ],
)
def test_an_average_that_never_begins_is_refused(name, params, message):
    with pytest.raises(ParameterError, match=message):
        make_average(AverageSlot(name=name, params=params), network(), 100, 10)


def test_none_is_made_where_none_is_asked_for():
    assert make_average(None, network(), 100, 10) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_average_is_the_same():
    here, there = network(), network().cuda()
    one, other = ExponentialAverage(here, 10, 1, decay=0.9), ExponentialAverage(there, 10, 1, decay=0.9)
    for step in learn(here, 10):
        there.load_state_dict(here.state_dict())
        one.update(step, 0)
        other.update(step, 0)
    assert same(averaged(one, here), {name: value.cpu() for name, value in averaged(other, there).items()})
