"""Which samples an epoch of training shows: balanced by class, or repeated with draws of their own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.zoo.data.test_loader import CLIP, assert_same, films_shown, loader_of
from zoo.data import Split, read_clip
from zoo.data.loading.draws import balanced_order, clip_draw, copy_numbers, order
from zoo_registry.errors import DataError
from zoo_registry.protocols import Sample

LONG_TAIL = np.repeat([0, 1, 2], [900, 90, 10])
"""Classes of 900, 90 and 10 samples."""


def shares(power: float, epochs: int = 40) -> list[float]:
    drawn = np.concatenate([LONG_TAIL[balanced_order(LONG_TAIL, 3, epoch, power)] for epoch in range(epochs)])
    return (np.bincount(drawn) / len(drawn)).tolist()


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        (0.0, [1 / 3, 1 / 3, 1 / 3]),
        # sqrt(900), sqrt(90), sqrt(10) = 30, 9.4868, 3.1623; their sum is 42.6491.
        (0.5, [30 / 42.6491, 9.4868 / 42.6491, 3.1623 / 42.6491]),
        (1.0, [0.9, 0.09, 0.01]),
    ],
)
def test_classes_come_in_proportion_to_a_power_of_their_size(power: float, expected: list[float]) -> None:
    # 40,000 draws: a share p is known to sqrt(p (1 - p) / 40,000), at most 0.0025; four of those.
    assert shares(power) == pytest.approx(expected, abs=0.01)


def test_samples_of_a_class_come_equally_often() -> None:
    drawn = np.concatenate([balanced_order(LONG_TAIL, 0, epoch, 0.0) for epoch in range(60)])
    rare = Counter(drawn[drawn >= 990].tolist())
    assert set(rare) == set(range(990, 1000))
    # 60 * 1000 / 3 / 10 = 2000 of each; the deviation of such a count is about 45.
    assert all(abs(count - 2000) < 5 * 45 for count in rare.values())


def test_a_class_without_samples_is_never_drawn() -> None:
    assert set(balanced_order(np.array([1, 1, 3]), 0, 0, 0.0).tolist()) <= {0, 1, 2}


def test_balanced_epochs_differ_and_follow_from_seed_and_epoch() -> None:
    epochs = {tuple(balanced_order(LONG_TAIL, seed, epoch, 0.5)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(epochs) == 4
    assert balanced_order(LONG_TAIL, 1, 2, 0.5).tolist() == balanced_order(LONG_TAIL, 1, 2, 0.5).tolist()


def test_copies_are_counted_in_the_order_they_come() -> None:
    assert copy_numbers(np.array([5, 5, 2, 5, 2, 9])).tolist() == [0, 1, 0, 2, 1, 0]
    assert copy_numbers(np.array([], np.int64)).tolist() == []


@pytest.fixture
def lopsided(split_of_eight: Split) -> Split:
    """Seven films of class `even`, one of class `odd`."""
    samples = [replace(sample, targets={"label_b": "even"}) for sample in split_of_eight.samples]
    samples[3] = replace(samples[3], targets={"label_b": "odd"})
    return replace(split_of_eight, samples=samples)


def test_a_rare_class_is_shown_as_often_as_the_others_in_an_epoch_of_the_same_length(lopsided: Split) -> None:
    loader = loader_of(lopsided, balance="class")
    shown = [film for epoch in range(25) for batch in loader.epoch(epoch) for film in films_shown(batch)]
    assert len(loader) == 3
    assert len(shown) == 25 * 8
    # 200 draws with probability 1/2: the deviation is 7.1.
    assert abs(shown.count(3) - 100) < 4 * 7.1


def test_every_sample_is_repeated_in_a_row_with_a_draw_of_its_own(shared: Path) -> None:
    film = str(shared / "clips" / "v_SoccerJuggling_g23_c01.avi")
    split = Split("train", [Sample(film, {"label_b": "a"}), Sample(film, {"label_b": "b"})], ("a", "b"))
    loader = loader_of(split, batch=3, repeat=3, seed=4)
    batches = list(loader.epoch(2))
    assert len(loader) == 2
    first, second = order(2, 4, 2).tolist()
    assert [batch.index.tolist() for batch in batches] == [[first] * 3, [second] * 3]
    assert batches[0].view.tolist() == [0, 0, 0]
    for row, clip_cthw in enumerate(batches[0].inputs["clip_bcthw"]):
        position, top, left = clip_draw(4, 2, first, row)
        expected = read_clip(film, CLIP, position=position, canvas=True, crop=(top, left))
        assert torch.equal(clip_cthw, expected)
    assert not torch.equal(batches[0].inputs["clip_bcthw"][0], batches[0].inputs["clip_bcthw"][1])


@pytest.mark.parametrize("how", [{"balance": "class"}, {"balance": "square_root"}, {"repeat": 3}])
def test_workers_and_resuming_change_nothing(lopsided: Split, how: dict) -> None:
    whole = list(loader_of(lopsided, batch=2, **how).epoch(1))
    loader = loader_of(lopsided, batch=2, workers=2, **how)
    for start in (0, 2, len(whole)):
        assert_same(loader.epoch(1, start=start), whole[start:])
    loader.close()


def test_evaluation_shows_every_sample_once_whatever_training_does(lopsided: Split) -> None:
    loader = loader_of(lopsided, train=False, balance="class", repeat=3)
    assert [film for batch in loader.epoch(0) for film in films_shown(batch)] == list(range(8))


def test_a_balance_needs_one_class_per_sample(split_of_eight: Split) -> None:
    samples = [Sample("a.mp4", {"label_bk": ["even"]})]
    with pytest.raises(DataError, match=r"balance: class needs one class per sample; 'a\.mp4' of the train split"):
        loader_of(replace(split_of_eight, samples=samples), balance="class")


def test_a_source_may_know_the_classes_of_its_samples_at_once(split_of_eight: Split) -> None:
    class Columns(list):
        def class_codes(self) -> np.ndarray:
            return np.array([0, 0, 0, 0, 0, 0, 0, 1])

    loader = loader_of(replace(split_of_eight, samples=Columns(split_of_eight.samples)), balance="class")
    shown = [index for epoch in range(10) for batch in loader.epoch(epoch) for index in batch.index.tolist()]
    assert abs(shown.count(7) - 40) < 4 * 4.5  # 80 draws with probability 1/2
