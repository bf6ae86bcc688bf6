"""Streams of shards: every sample once, in an order that the seed decides, however many workers read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.zoo.data.test_loader import CLIP, assert_same, films_shown
from zoo.data import Loader, Quarantine, Split
from zoo.data.loading.plan import Share
from zoo.data.stream_split import StreamSplit, index_in_stream, open_stream
from zoo_registry.errors import DataError
from zoo_registry.protocols import Batch, Sample


@dataclass(frozen=True)
class Shards:
    """Shards that lie in memory; `breaks` says after how many samples a shard ends with an error."""

    content: Sequence[Sequence[Sample]]
    labels: Sequence[str] = ("even", "odd")
    count: int | None = None
    buffer: int = 4
    breaks: dict[int, int] = field(default_factory=dict)

    @property
    def shards(self) -> list[str]:
        return [f"s-{number}.tar" for number in range(len(self.content))]

    def read(self, shard: int) -> Iterator[Sample]:
        for place, sample in enumerate(self.content[shard]):
            if place == self.breaks.get(shard):
                raise DataError("the connection was lost")
            yield sample


@pytest.fixture
def shards(split_of_eight: Split) -> Shards:
    """Eight films in five shards of 1, 5, 0, 4 and 7 samples: 17 in all."""
    films = [
        replace(sample, media=Path(str(sample.media)).read_bytes(), key=f"film {number}")
        for number, sample in enumerate(split_of_eight.samples)
    ]
    row = [films[number % 8] for number in range(17)]
    return Shards([row[:1], row[1:6], [], row[6:10], row[10:17]], count=17)


def loader_of(shards: Shards, *, train: bool = True, **rest) -> Loader:
    split = open_stream(shards, "train")
    return Loader(split, **{"inputs": ("clip_bcthw",), "clip": CLIP, "batch": 3, "workers": 0, "train": train} | rest)


def indexes(batches: Sequence[Batch]) -> list[int]:
    return [index for batch in batches for index in batch.index.tolist()]


EVERY = sorted(index_in_stream(shard, place) for shard, count in enumerate([1, 5, 0, 4, 7]) for place in range(count))


@pytest.mark.parametrize("batch", [1, 3, 5, 100])
@pytest.mark.parametrize("train", [True, False])
def test_every_sample_comes_once_in_batches_that_are_full_but_few(shards: Shards, train: bool, batch: int) -> None:
    loader = loader_of(replace(shards, count=None) if not train else shards, train=train, batch=batch)
    batches = list(loader.epoch(0))
    assert sorted(indexes(batches)) == EVERY
    assert all(len(one) <= batch for one in batches)
    assert [len(one) for one in batches].count(batch) >= 17 // batch - 2  # what is left of the lanes is joined
    for one in batches:
        assert [film % 2 for film in films_shown(one)] == one.targets["label_b"].tolist()


def test_epochs_have_orders_of_their_own_that_the_seed_decides(shards: Shards) -> None:
    orders = [tuple(indexes(list(loader_of(shards, seed=seed).epoch(epoch)))) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert orders[0] == tuple(indexes(list(loader_of(shards, seed=0).epoch(0))))


def test_a_buffer_mixes_samples_of_a_shard(shards: Shards) -> None:
    one_shard = replace(shards, content=[shards.content[4]], count=7)
    mixed = indexes(list(loader_of(one_shard).epoch(0)))
    assert sorted(mixed) == list(range(7))
    assert mixed != list(range(7))
    assert indexes(list(loader_of(replace(one_shard, buffer=1)).epoch(0))) == list(range(7))


def test_evaluation_keeps_the_order_of_each_shard(shards: Shards) -> None:
    shown = indexes(list(loader_of(shards, train=False).epoch(3)))
    for shard in range(5):
        places = [index for index in shown if index >> 32 == shard]
        assert places == sorted(places)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("train", [True, False])
def test_the_number_of_workers_changes_nothing(shards: Shards, train: bool, workers: int) -> None:
    one, many = loader_of(shards, train=train, views=2), loader_of(shards, train=train, views=2, workers=workers)
    for epoch in (0, 1):
        assert_same(one.epoch(epoch), many.epoch(epoch))
    many.close()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_an_epoch_entered_late_goes_on_as_if_it_had_not_been_left(shards: Shards, workers: int, batch: int) -> None:
    content = [*shards.content[:4], [replace(sample, media=b"no film") for sample in shards.content[4][:2]]]
    spoilt = replace(shards, content=content, count=12)
    whole = list(loader_of(spoilt, batch=batch, max_bad=1.0).epoch(2))
    assert len(whole) == -(-12 // batch)  # also the lane of nothing but bad samples gives batches to count
    for start in range(len(whole) + 1):
        loader = loader_of(spoilt, batch=batch, workers=workers, max_bad=1.0)
        assert_same(loader.epoch(2, start=start), whole[start:])
        loader.close()


def test_what_a_resumed_run_has_seen_is_not_decoded_again(shards: Shards) -> None:
    loader, decoded = loader_of(shards, batch=1), []
    row = loader._reader._reader.row

    def counted(sample: Sample, index: int, **rest: object) -> object:
        decoded.append(index)
        return row(sample, index, **rest)

    loader._reader._reader.row = counted
    shown = indexes(list(loader.epoch(0, start=12)))
    assert len(shown) == 5
    assert decoded[-5:] == shown
    assert len(decoded) <= 5 + 5  # when a lane has ended, one more of each of the five may be read in vain


def test_an_epoch_can_be_left_and_another_begun(shards: Shards) -> None:
    loader = loader_of(shards, workers=2)
    next(loader.epoch(0))
    assert_same(loader.epoch(1), loader_of(shards).epoch(1))
    assert_same(loader.epoch(0), loader_of(shards).epoch(0))
    loader.close()


def test_repeated_samples_come_in_a_row_with_draws_of_their_own(shards: Shards) -> None:
    loader = loader_of(shards, repeat=2, batch=4)
    batches = list(loader.epoch(0))
    assert len(loader) == 9
    assert Counter(indexes(batches)) == dict.fromkeys(EVERY, 2)
    assert all(batch.index[0::2].tolist() == batch.index[1::2].tolist() for batch in batches)


def test_a_bad_sample_is_left_out_and_named(shards: Shards) -> None:
    films = list(shards.content[4])
    films[2] = Sample(b"no film", {"label_b": "odd"}, key="s-4.tar: 2.mp4")
    films[3] = replace(films[3], targets={"label_b": "bird"}, key="s-4.tar: 3.mp4")
    spoilt = replace(shards, content=[*shards.content[:4], films])
    quarantine = Quarantine()
    loader = loader_of(spoilt, quarantine=quarantine, workers=1)
    for epoch in (0, 1):
        bad = {index_in_stream(4, 2), index_in_stream(4, 3)}
        assert sorted(indexes(list(loader.epoch(epoch)))) == [index for index in EVERY if index not in bad]
    assert {bad.media: bad.reason for bad in quarantine.entries} == {
        "s-4.tar: 2.mp4": "no film or picture that can be decoded, or cut off before its index "
                          "(Invalid data found when processing input)",
        "s-4.tar: 3.mp4": "its class 'bird' is not among the training classes",
    }  # fmt: skip
    loader.close()


def test_a_shard_that_breaks_off_is_named_and_the_others_go_on(shards: Shards) -> None:
    quarantine = Quarantine()
    loader = loader_of(replace(shards, breaks={4: 3}), quarantine=quarantine)
    assert sorted(indexes(list(loader.epoch(0)))) == EVERY[:-4]
    assert [(bad.media, bad.reason) for bad in quarantine.entries] == [
        ("s-4.tar", "the shard cannot be read after 3 samples: the connection was lost")
    ]


@pytest.mark.parametrize("spoil", ["films", "shards"])
def test_a_stream_of_bad_samples_only_stops_the_run(shards: Shards, spoil: str) -> None:
    if spoil == "films":
        bad = replace(shards, content=[[replace(s, media=b"no film") for s in shard] for shard in shards.content])
    else:
        bad = replace(shards, content=[shards.content[4]] * 5, breaks=dict.fromkeys(range(5), 0))
    with pytest.raises(DataError, match="files of the train split cannot be read"):
        list(loader_of(bad, max_bad=1.0).epoch(0))


def test_an_epoch_ends_where_it_should(shards: Shards) -> None:
    loader = loader_of(replace(shards, count=7))
    assert len(loader) == 3
    assert [len(batch) for batch in loader.epoch(0)] == [3, 3, 3]
    assert len(indexes(list(loader_of(replace(shards, count=7), train=False).epoch(0)))) == 17  # nothing is left out


def test_a_stream_that_is_shorter_than_it_said_is_an_error(shards: Shards) -> None:
    with pytest.raises(DataError, match="hold 17 samples, not 100") as caught:
        list(loader_of(replace(shards, count=100)).epoch(0))
    assert "write `samples: 17` in the params of data.train" in str(caught.value)


def test_nobody_knows_the_length_of_a_stream_that_does_not_say_it(shards: Shards) -> None:
    loader = loader_of(replace(shards, count=None), train=False)
    assert loader.batches is None
    with pytest.raises(TypeError, match="nobody knows how many batches the train split has"):
        len(loader)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("train", [True, False])
def test_two_processes_together_see_every_sample_once(shards: Shards, train: bool, workers: int) -> None:
    even = replace(shards, content=[shards.content[3]] * 4, count=16)
    loaders = [loader_of(even, train=train, workers=workers, share=Share(rank, 2)) for rank in (0, 1)]
    seen = [[indexes(list(loader.epoch(epoch))) for loader in loaders] for epoch in (0, 1)]
    every = sorted(index_in_stream(shard, place) for shard in range(4) for place in range(4))
    for first, second in seen:
        assert len(first) == len(second) == 8
        assert sorted(first + second) == every
    assert len({len(list(loader.epoch(0))) for loader in loaders}) == 1
    for loader in loaders:
        loader.close()


def test_shards_of_unequal_length_are_all_evaluated_by_some_process(shards: Shards) -> None:
    loaders = [loader_of(shards, train=False, share=Share(rank, 2)) for rank in (0, 1)]
    assert sorted(index for loader in loaders for index in indexes(list(loader.epoch(0)))) == EVERY


def test_a_process_whose_shards_are_short_ends_early_and_is_not_an_error(shards: Shards) -> None:
    films = shards.content[4]
    uneven = replace(shards, content=[films, films[:1]], count=8)
    seen = [list(loader_of(uneven, share=Share(rank, 2)).epoch(0)) for rank in (0, 1)]
    assert sorted(len(indexes(batches)) for batches in seen) == [1, 6]  # at most a half of 8, in batches of 3


def test_there_are_shards_for_every_process(shards: Shards) -> None:
    with pytest.raises(DataError, match="5 shards of the train split are too few for 6 processes"):
        loader_of(shards, share=Share(5, 6))


def test_what_needs_samples_by_number_is_refused(shards: Shards) -> None:
    with pytest.raises(DataError, match=r"balance: class needs samples that can be asked for by number"):
        loader_of(shards, balance="class")
    with pytest.raises(DataError, match=r"s-1\.tar, sample 3 cannot be read again"):
        loader_of(shards, train=False).clip(index_in_stream(1, 2))


def test_opening_a_stream_checks_what_can_be_known(shards: Shards) -> None:
    split = open_stream(shards, "val", ("even", "odd", "prime"))
    assert isinstance(split, StreamSplit)
    assert (split.labels, len(split), repr(split)) == (
        ("even", "odd", "prime"), 0, "StreamSplit('val', 5 shards, 3 labels)",
    )  # fmt: skip
    with pytest.raises(DataError, match="no shards"):
        open_stream(replace(shards, content=[]), "train")
    with pytest.raises(DataError, match="'even' is listed twice"):
        open_stream(replace(shards, labels=["even", "even"]), "train")


def test_a_buffer_holds_no_more_bytes_than_it_may(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Counted(Shards):
        def read(self, shard: int) -> Iterator[Sample]:
            for sample in super().read(shard):
                read.append(len(sample.media))
                yield sample

    films = Counted([shards.content[4]], count=7, buffer=7)
    next(loader_of(films, batch=1).epoch(0))
    assert len(read) == 7  # the buffer takes them all
    monkeypatch.setattr("zoo.data.loading.lanes.MOST_HELD", sum(read[:3]))
    read.clear()
    loader = loader_of(films, batch=1)
    next(loader.epoch(0))
    assert 1 < len(read) <= 5
    assert sorted(indexes(list(loader.epoch(1)))) == list(range(7))


def test_in_training_the_first_sample_that_can_be_read_stands_in_for_a_batch_of_bad_ones(shards: Shards) -> None:
    films = [replace(sample, media=b"no film") if place else sample for place, sample in enumerate(shards.content[4])]
    loader = loader_of(replace(shards, content=[films], count=7, buffer=1), batch=1, max_bad=1.0)
    assert indexes(list(loader.epoch(0))) == [0] * 7
    assert loader.bad.keys() == set(range(1, 7))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_stand_in_comes_from_behind_or_from_another_lane(shards: Shards, order: int) -> None:
    good, bad = shards.content[4][0], replace(shards.content[4][1], media=b"no film")
    spoilt = replace(shards, content=[[bad, bad, bad, good], [bad, bad, bad, bad]], count=8, buffer=1)
    whole = list(loader_of(spoilt, batch=1, max_bad=1.0, seed=order).epoch(0))
    assert indexes(whole) == [index_in_stream(0, 3)] * 8
    for start in range(9):
        assert_same(loader_of(spoilt, batch=1, max_bad=1.0, seed=order).epoch(0, start=start), whole[start:])


def test_a_search_for_a_stand_in_has_an_end(shards: Shards) -> None:
    bad = replace(shards.content[4][0], media=b"no film")
    spoilt = replace(shards, content=[[bad] * 40, [bad] * 40], count=80, buffer=1)
    with pytest.raises(DataError, match="none of 64 samples from the beginnings of the train shards can be read"):
        next(loader_of(spoilt, max_bad=1.0).epoch(0))


def test_an_odd_target_in_a_stream_makes_a_bad_sample(shards: Shards) -> None:
    films = [replace(sample, targets={"value_bk": [0.5, 1]}) for sample in shards.content[4]]
    films[2] = replace(films[2], targets={"value_bk": [0.5]}, key="odd")
    films[4] = replace(films[4], targets={}, key="without")
    loader = loader_of(replace(shards, content=[films], count=7, labels=("x", "y")), batch=7)
    assert sorted(indexes(list(loader.epoch(0)))) == [0, 1, 3, 5, 6]
    assert {bad.media: bad.reason for bad in loader.quarantine.entries} == {
        "odd": "its value_bk should be 2 numbers, one for each label, not [0.5]",
        "without": "its targets are none, those of others value_bk (2,)",
    }
