"""Batches follow from the seed alone: not from workers, not from where a run was resumed, not from bad files."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from zoo.data import Loader, Quarantine, Split, open_split, read_clip
from zoo.data.loading.draws import clip_draw, order, substitutes
from zoo.data.loading.loader import choose_workers
from zoo_registry import AudioSpec, ClipSpec
from zoo_registry.errors import DataError, UndecodableMedia
from zoo_registry.protocols import Batch, Sample

CLIP = ClipSpec(frames=2, size=16, resize=24)


def loader_of(split: Split, *, train: bool = True, **rest) -> Loader:
    return Loader(split, **{"inputs": ("clip_bcthw",), "clip": CLIP, "batch": 3, "workers": 0, "train": train} | rest)


def films_shown(batch: Batch) -> list[int]:
    """Which of the eight films each row shows, by its pixels."""
    return [round(level / 10) for level in batch.inputs["clip_bcthw"].float().mean(dim=(1, 2, 3, 4)).tolist()]


def assert_same(ours: Iterable[Batch], theirs: Iterable[Batch]) -> None:
    for one, other in zip(list(ours), list(theirs), strict=True):
        assert torch.equal(one.inputs["clip_bcthw"], other.inputs["clip_bcthw"])
        assert torch.equal(one.targets["label_b"], other.targets["label_b"])
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.view, other.view)


@pytest.fixture
def spoilt(split_of_eight: Split, tmp_path: Path) -> Split:
    """The eight films, of which number 2 and number 5 cannot be read."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no film")
    samples = list(split_of_eight.samples)
    samples[2] = replace(samples[2], media=str(tmp_path / "empty.mp4"))
    samples[5] = replace(samples[5], media=str(tmp_path / "text.mp4"))
    return replace(split_of_eight, samples=samples)


def test_an_epoch_of_training_shows_every_sample_once_in_an_order_of_its_own(split_of_eight: Split) -> None:
    loader = loader_of(split_of_eight)
    epochs = [[film for batch in loader.epoch(epoch) for film in films_shown(batch)] for epoch in (0, 1)]
    assert len(loader) == 3
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(8))
    assert epochs[0] != epochs[1]
    assert epochs[0] != list(range(8))


def test_rows_targets_and_indices_belong_together(split_of_eight: Split) -> None:
    for batch in loader_of(split_of_eight).epoch(0):
        assert films_shown(batch) == batch.index.tolist()
        assert (batch.index % 2).tolist() == batch.targets["label_b"].tolist()


def test_training_clips_lie_on_the_canvas_and_evaluation_clips_have_the_size(split_of_eight: Split) -> None:
    (train, *_), (val, *_) = (list(loader_of(split_of_eight, train=train).epoch(0)) for train in (True, False))
    assert train.inputs["clip_bcthw"].shape == (3, 3, 2, 24, 24)
    assert val.inputs["clip_bcthw"].shape == (3, 3, 2, 16, 16)
    assert train.inputs["clip_bcthw"].dtype == val.inputs["clip_bcthw"].dtype == torch.uint8


def test_views_of_a_sample_are_adjacent_rows(split_of_eight: Split) -> None:
    for train in (True, False):
        batch = next(loader_of(split_of_eight, train=train, views=2).epoch(0))
        assert len(batch) == 6
        assert batch.view.tolist() == [0, 1, 0, 1, 0, 1]
        assert batch.index[0::2].tolist() == batch.index[1::2].tolist()
        assert films_shown(batch) == batch.index.tolist()


def test_evaluation_goes_through_the_samples_in_order(split_of_eight: Split) -> None:
    batches = list(loader_of(split_of_eight, train=False).epoch(7))
    assert [batch.index.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_workers_change_nothing(spoilt: Split) -> None:
    for train in (True, False):
        one, many = (loader_of(spoilt, train=train, views=2, workers=workers) for workers in (0, 2))
        for epoch in (0, 1):
            assert_same(one.epoch(epoch), many.epoch(epoch))
        assert one.bad.keys() == many.bad.keys()
        many.close()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_entered_late_goes_on_as_if_it_had_not_been_left(spoilt: Split, train: bool, workers: int) -> None:
    whole = list(loader_of(spoilt, train=train, batch=1).epoch(3))
    loader = loader_of(spoilt, train=train, batch=1, workers=workers)
    for start in (0, 3, len(whole)):
        assert_same(loader.epoch(3, start=start), whole[start:])
    loader.close()


def test_an_epoch_can_be_left_and_another_begun(split_of_eight: Split) -> None:
    loader = loader_of(split_of_eight, workers=2)
    next(loader.epoch(0))
    assert_same(loader.epoch(1), loader_of(split_of_eight).epoch(1))
    loader.close()
    assert_same(loader.epoch(2), loader_of(split_of_eight).epoch(2))
    loader.close()


def test_two_epochs_at_once_are_refused(split_of_eight: Split) -> None:
    loader = loader_of(split_of_eight)
    first = loader.epoch(0)
    next(first)
    next(loader.epoch(1))
    with pytest.raises(RuntimeError, match="one at a time"):
        next(first)


def test_the_reader_survives_the_way_to_a_spawned_process(split_of_eight: Split) -> None:
    loader = loader_of(split_of_eight)
    plain = next(loader.epoch(0))
    loader._reader = pickle.loads(pickle.dumps(loader._reader))
    loader.close()
    assert_same([next(loader.epoch(0))], [plain])


def test_reading_leaves_the_global_generators_alone(split_of_eight: Split) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    loader = loader_of(split_of_eight, workers=1)
    list(loader.epoch(0))
    loader.close()
    assert torch.equal(torch.rand(3), expected)


def test_in_training_a_bad_file_is_replaced_and_reported_once(spoilt: Split, tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    loader = loader_of(spoilt, quarantine=quarantine)
    for epoch in (0, 1):
        batches = list(loader.epoch(epoch))
        assert [len(batch) for batch in batches] == [3, 3, 2]
        for batch in batches:
            assert films_shown(batch) == batch.index.tolist()  # the index says what is seen, not what was asked for
            assert (batch.index % 2).tolist() == batch.targets["label_b"].tolist()
        shown = [film for batch in batches for film in batch.index.tolist()]
        assert {2, 5}.isdisjoint(shown)
        assert {0, 1, 3, 4, 6, 7} <= set(shown)
    assert sorted((Path(bad.media).name, bad.reason) for bad in quarantine.entries) == [
        ("empty.mp4", "the file is empty"),
        ("text.mp4", "no film or picture that can be decoded, or cut off before its index "
                     "(Invalid data found when processing input)"),
    ]  # fmt: skip
    assert "UndecodableMedia" in quarantine.entries[0].traceback
    assert len((tmp_path / "quarantine.jsonl").read_text().splitlines()) == 2
    assert loader.bad.keys() == {2, 5}


def test_in_evaluation_a_bad_file_is_left_out_and_named(spoilt: Split) -> None:
    loader = loader_of(spoilt, train=False, views=2)
    batches = list(loader.epoch(0))
    assert [batch.index.tolist() for batch in batches] == [[0, 0, 1, 1], [3, 3, 4, 4], [6, 6, 7, 7]]
    assert {index: Path(bad.media).name for index, bad in loader.bad.items()} == {2: "empty.mp4", 5: "text.mp4"}


def test_a_batch_with_nothing_left_is_passed_over(spoilt: Split) -> None:
    batches = list(loader_of(spoilt, train=False, batch=1).epoch(0))
    assert [batch.index.tolist() for batch in batches] == [[0], [1], [3], [4], [6], [7]]


@pytest.mark.parametrize("workers", [0, 1])
def test_on_bad_raise_stops_at_the_file(spoilt: Split, workers: int) -> None:
    loader = loader_of(spoilt, train=False, on_bad="raise", workers=workers)
    with pytest.raises(UndecodableMedia, match=r"empty\.mp4: the file is empty"):
        list(loader.epoch(0))
    loader.close()


def bad_files(split: Split, count: int) -> Split:
    """The same, with the first `count` files missing."""
    samples = [replace(s, media="nowhere.mp4") if at < count else s for at, s in enumerate(split.samples)]
    return replace(split, samples=samples)


def test_too_many_bad_files_stop_the_run_with_their_reasons(split_of_eight: Split) -> None:
    with pytest.raises(DataError) as caught:
        list(loader_of(bad_files(split_of_eight, 4), train=False, max_bad=0.25).epoch(0))
    first, second = caught.value.problems[:2]
    assert first.message == "3 of 8 files of the train split cannot be read"
    assert first.hint is not None
    assert "data.max_bad" in first.hint
    assert str(second) == "nowhere.mp4: there is no such file"


def test_as_many_bad_files_as_allowed_do_not_stop_it(split_of_eight: Split) -> None:
    batches = list(loader_of(bad_files(split_of_eight, 4), train=False, max_bad=0.5).epoch(0))
    assert [batch.index.tolist() for batch in batches] == [[4, 5], [6, 7]]


@pytest.mark.parametrize("train", [True, False])
def test_a_split_of_bad_files_only_stops_whatever_is_allowed(split_of_eight: Split, train: bool) -> None:
    with pytest.raises(DataError, match="8 of 8 files"):
        list(loader_of(bad_files(split_of_eight, 8), train=train, max_bad=1.0).epoch(0))


class Faulty:
    """Media with a mistake in its code."""

    size = None

    def read(self) -> bytes:
        raise KeyError("nobody")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unforeseen_failure_names_the_file(split_of_eight: Split, workers: int) -> None:
    samples = [*split_of_eight.samples[:1], replace(split_of_eight.samples[1], media=Faulty(), key="1.mp4")]
    loader = loader_of(replace(split_of_eight, samples=samples), workers=workers)
    with pytest.raises(RuntimeError, match=r"(?s)while reading '1\.mp4'.*KeyError: 'nobody'"):
        list(loader.epoch(0))
    loader.close()


def test_a_contradiction_in_the_clip_spec_is_no_bad_file(split_of_eight: Split) -> None:
    loader = loader_of(split_of_eight, train=False, clip=ClipSpec(frames=2, size=32, resize=16))
    with pytest.raises(DataError, match="resized to 16 x 16 and then cropped to 32 x 32"):
        next(loader.epoch(0))
    assert not loader.bad


def test_a_clip_can_be_read_again_by_index_and_view(split_of_eight: Split) -> None:
    loader = loader_of(split_of_eight, train=False, views=3)
    batch = next(loader.epoch(0))
    assert torch.equal(loader.clip(1, 2), batch.inputs["clip_bcthw"][1 * 3 + 2])
    assert torch.equal(loader.clip(1, 2), read_clip(split_of_eight.samples[1].media, CLIP, position=1.0))


def test_sound_comes_with_the_clip_it_belongs_to(shared: Path) -> None:
    split = Split("val", [Sample(str(shared / "clips" / "R6llTwEh07w.mp4"), {"label_b": 0})], ("a",))
    audio = AudioSpec(rate=8000, samples=2000)
    loader = loader_of(split, train=False, inputs=("audio_bcn", "clip_bcthw"), audio=audio, views=2)
    batch = next(loader.epoch(0))
    assert list(batch.inputs) == ["audio_bcn", "clip_bcthw"]
    assert batch.inputs["audio_bcn"].shape == (2, 1, 2000)
    assert not torch.equal(batch.inputs["audio_bcn"][0], batch.inputs["audio_bcn"][1])


def test_a_film_without_sound_is_a_bad_file_where_sound_is_wanted(split_of_eight: Split) -> None:
    loader = loader_of(
        replace(split_of_eight, samples=split_of_eight.samples[:1]),
        train=False, inputs=("clip_bcthw", "audio_bcn"), audio=AudioSpec(samples=100),
    )  # fmt: skip
    with pytest.raises(DataError, match="it has no sound"):
        list(loader.epoch(0))


def test_an_input_that_nothing_reads_is_an_error(split_of_eight: Split) -> None:
    with pytest.raises(DataError, match="nothing reads the input 'depth_b1thw'"):
        loader_of(split_of_eight, inputs=("depth_b1thw",))


def test_a_clip_without_a_spec_is_an_error(split_of_eight: Split) -> None:
    with pytest.raises(DataError, match="takes clip_bcthw but declares nothing about it"):
        loader_of(split_of_eight, clip=None)


def test_orders_are_permutations_that_seed_and_epoch_decide() -> None:
    orders = {tuple(order(50, seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert len(orders) == 6
    assert all(sorted(one) == list(range(50)) for one in orders)
    assert order(50, 1, 2).tolist() == order(50, 1, 2).tolist()


def test_draws_are_spread_over_0_to_1_and_differ_by_every_argument() -> None:
    draws = torch.tensor([clip_draw(0, 0, index, 0) for index in range(2000)])
    assert draws.min() >= 0
    assert draws.max() < 1
    # Mean and deviation of a uniform draw, 1/2 and 1/sqrt(12), to 4 standard errors of 2000 draws.
    assert (draws.mean(dim=0) - 0.5).abs().max() < 4 * 0.2887 / 2000**0.5
    assert (draws.std(dim=0) - 0.2887).abs().max() < 0.02
    neighbours = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert len({clip_draw(*neighbour) for neighbour in neighbours}) == 5


def test_substitutes_try_every_sample() -> None:
    assert sorted(substitutes(9, seed=0, epoch=1, index=4)) == list(range(9))


def test_a_handful_of_samples_needs_no_worker() -> None:
    assert choose_workers(5) == 0
    assert choose_workers(100_000) >= 1


def test_processes_on_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(32)))
    assert choose_workers(100_000) == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert choose_workers(100_000) == 3


class Unchecked(Sequence[Sample]):
    """Samples with an overview, as of a source that does not look at every target."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.all = samples

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, at):
        return self.all[at]

    def target_keys(self):
        return [tuple(self.all[0].targets)]

    def class_names(self):
        return ()

    def digest(self) -> bytes:
        return b""


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    ("good", "odd", "reason"),
    [
        ({"value_bk": [1, 2]}, {"value_bk": [1]}, "its value_bk should be 2 numbers, one for each label, not [1]"),
        ({"value_bk": [1, 2]}, {"value_bk": None}, "its value_bk should be 2 numbers, one for each label, not None"),
        ({"boxes_n4": []}, {"boxes_n4": [[0.1, 0.2, 0.3]]}, "its boxes_n4 should be a list of x1, y1, x2, y2 in 0..1"),
        ({"label_b": 0}, {"label_b": 2}, "its class 2 is not among the training classes"),
        ({"clip_bcthw": None}, {"clip_bcthw": 3}, "its clip_bcthw should be the path of a film, not 3"),
    ],
)
def test_an_odd_target_makes_a_bad_sample(
    split_of_eight: Split, good: dict, odd: dict, reason: str, train: bool
) -> None:
    samples = [replace(sample, targets=good) for sample in split_of_eight.samples]
    if "clip_bcthw" in good:
        samples = [replace(sample, targets={"clip_bcthw": sample.media}) for sample in samples]
    samples[3] = replace(samples[3], targets=odd)
    opened = open_split(SimpleNamespace(samples=Unchecked(samples), labels=["x", "y"]), "train")
    quarantine = Quarantine()
    loader = loader_of(opened, train=train, quarantine=quarantine)
    shown = [index for batch in loader.epoch(0) for index in batch.index.tolist()]
    assert len(shown) == (8 if train else 7)  # in training another sample stands in
    assert 3 not in shown
    (bad,) = quarantine.entries
    assert bad.reason.startswith(reason)
    with pytest.raises(UndecodableMedia, match=r"`data\.on_bad: quarantine` sets such files aside"):
        list(loader_of(opened, train=train, on_bad="raise").epoch(0))


@pytest.mark.parametrize("train", [True, False])
def test_targets_of_a_shape_that_only_others_tell_are_judged_by_their_batch(split_of_eight: Split, train: bool) -> None:
    samples = [replace(sample, targets={"embedding_bk": [0.0] * 5}) for sample in split_of_eight.samples]
    samples[3] = replace(samples[3], targets={"embedding_bk": [0.0] * 4})
    loader = loader_of(replace(split_of_eight, samples=samples), train=train, batch=8)
    (batch,) = loader.epoch(0)
    assert batch.targets["embedding_bk"].shape == (7, 5)
    assert loader.bad[3].reason == "its targets are embedding_bk (4,), those of others embedding_bk (5,)"
