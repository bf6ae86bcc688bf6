"""Several processes that read a split together: every sample once, in steps that they take together."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from torch import distributed

from tests.zoo.data.test_loader import assert_same, films_shown, loader_of
from zoo.data import Split
from zoo.data.loading.plan import EpochPlan, Request, Sampling, Share, in_order
from zoo_registry.errors import DataError
from zoo_registry.protocols import Sample

SIZES = list(itertools.product([1, 2, 5, 7, 8, 12, 13], [1, 2, 3, 8], [1, 2, 3, 4]))


def shown(plan: EpochPlan) -> list[int]:
    return [index for request in plan for index in request.indexes]


def training(count: int, share: Share) -> Sampling:
    return Sampling(Split("train", [Sample(f"{at}.mp4") for at in range(count)], ()), seed=0, share=share)


@pytest.mark.parametrize(("count", "batch", "ranks"), SIZES)
def test_an_evaluation_shows_every_sample_once(count: int, batch: int, ranks: int) -> None:
    plans = [in_order(count, 0, batch, Share(rank, ranks)) for rank in range(ranks)]
    assert sorted(index for plan in plans for index in shown(plan)) == list(range(count))
    for plan in plans:
        assert all(1 <= len(request.indexes) <= batch for request in plan)
        assert len(list(plan)) == len(plan)


@pytest.mark.parametrize(("count", "batch", "ranks"), SIZES)
def test_in_training_all_take_as_many_steps_and_show_every_sample(count: int, batch: int, ranks: int) -> None:
    plans = [training(count, Share(rank, ranks)).plan(1, batch) for rank in range(ranks)]
    assert len({len(plan) for plan in plans}) == 1
    times = Counter(index for plan in plans for index in shown(plan))
    assert times.keys() == set(range(count))
    assert times.total() - count < ranks  # a last step with fewer samples than processes is filled up
    if count % (batch * ranks) == 0 or count % (batch * ranks) >= ranks:
        assert set(times.values()) == {1}
    numbers = [request.number for plan in plans for request in plan]
    assert len(set(numbers)) == len(numbers)  # augmentations in workers draw by it


@pytest.mark.parametrize(("samples", "ranks"), [(8, 2), (5, 2), (5, 3), (7, 2)])
def test_the_mean_over_processes_of_weighted_means_is_the_mean_over_samples(
    split_of_eight: Split, samples: int, ranks: int
) -> None:
    split = Split("train", split_of_eight.samples[:samples], split_of_eight.labels)
    loaders = [loader_of(split, train=True, share=Share(rank, ranks), batch=2) for rank in range(ranks)]
    value = {index: float(index**2) for index in range(samples)}
    for number, batches in enumerate(zip(*(loader.epoch(0) for loader in loaders), strict=True)):
        weights = [loader.weight(number) for loader in loaders]
        means = [sum(value[int(index)] for index in batch.index) / len(batch) for batch in batches]
        counted = [
            int(index) for batch, weight in zip(batches, weights, strict=True) if weight for index in batch.index
        ]
        expected = sum(value[index] for index in counted) / len(counted)
        found = sum(weight * mean for weight, mean in zip(weights, means, strict=True)) / ranks
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_an_epoch_entered_late_goes_on_in_every_process(ranks: int) -> None:
    for rank in range(ranks):
        whole: list[Request] = list(training(13, Share(rank, ranks)).plan(2, 2))
        for start in range(len(whole) + 2):
            plan = training(13, Share(rank, ranks)).plan(2, 2, start)
            assert list(plan) == whole[start:]
            assert len(plan) == len(whole[start:])


@pytest.mark.parametrize("train", [True, False])
def test_two_loaders_together_see_every_film_once(split_of_eight: Split, train: bool) -> None:
    loaders = [loader_of(split_of_eight, train=train, share=Share(rank, 2)) for rank in (0, 1)]
    films = [[film for batch in loader.epoch(0) for film in films_shown(batch)] for loader in loaders]
    assert sorted(films[0] + films[1]) == list(range(8))
    assert [len(loader) for loader in loaders] == [len(list(loader.epoch(0))) for loader in loaders] == [2, 2]


def test_one_process_alone_sees_what_it_always_saw(split_of_eight: Split) -> None:
    assert_same(loader_of(split_of_eight).epoch(3), loader_of(split_of_eight, share=Share()).epoch(3))


def test_processes_of_torch_distributed_share_without_being_told(split_of_eight: Split) -> None:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    assert Share.own() == Share(0, 1)
    distributed.init_process_group("fake", rank=1, world_size=2, store=FakeStore())
    try:
        assert Share.own() == Share(1, 2)
        loader = loader_of(split_of_eight)
    finally:
        distributed.destroy_process_group()
    assert_same(loader.epoch(0), loader_of(split_of_eight, share=Share(1, 2)).epoch(0))


@pytest.mark.parametrize(("rank", "ranks"), [(2, 2), (-1, 2), (0, 0)])
def test_a_process_that_cannot_be_is_refused(rank: int, ranks: int) -> None:
    with pytest.raises(DataError, match=f"process {rank} of {ranks} is none"):
        Share(rank, ranks)
