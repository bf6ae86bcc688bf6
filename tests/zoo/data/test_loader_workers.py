"""What workers do beside decoding: augment, say how long it took, and be found out when they hang."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.zoo.data.test_loader import assert_same, films_shown, loader_of
from zoo.data import Split
from zoo.data.loading.draws import augment_seed
from zoo_registry.errors import DataError
from zoo_registry.protocols import Batch


class Brighten:
    """Adds a drawn number to every sample of a batch."""

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        added_b = torch.randint(0, 100, (len(batch),), generator=generator, dtype=torch.uint8)
        clip_bcthw = batch.inputs["clip_bcthw"] + added_b.view(-1, 1, 1, 1, 1)
        return replace(batch, inputs={**batch.inputs, "clip_bcthw": clip_bcthw})


class Broken:
    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        raise KeyError("no such thing")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_augmentation_in_a_worker_draws_by_seed_epoch_and_number_of_the_batch(
    split_of_eight: Split, workers: int
) -> None:
    plain = list(loader_of(split_of_eight, seed=5).epoch(1))
    loader = loader_of(split_of_eight, seed=5, workers=workers, augment=Brighten())
    expected = [
        Brighten()(batch, torch.Generator().manual_seed(augment_seed(5, 1, number)))
        for number, batch in enumerate(plain)
    ]
    assert_same(loader.epoch(1), expected)
    assert_same(loader.epoch(1, start=1), expected[1:])
    loader.close()
    assert not torch.equal(expected[0].inputs["clip_bcthw"], plain[0].inputs["clip_bcthw"])


def test_the_seeds_of_batches_differ() -> None:
    assert len({augment_seed(seed, epoch, number) for seed in (0, 1) for epoch in (0, 1) for number in (0, 1)}) == 8


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failing_augmentation_says_where_it_ran(split_of_eight: Split, workers: int) -> None:
    loader = loader_of(split_of_eight, workers=workers, augment=Broken())
    with pytest.raises(RuntimeError, match=r"(?s)while augmenting in a worker.*no such thing"):
        next(loader.epoch(0))
    loader.close()


def test_a_loader_knows_how_long_its_workers_decoded_and_augmented(split_of_eight: Split) -> None:
    loader = loader_of(split_of_eight, augment=Brighten())
    list(loader.epoch(0))
    assert 0 < loader.seconds_decoding < loader.seconds_waited
    assert 0 < loader.seconds_augmenting < loader.seconds_waited
    assert loader.seconds_decoding + loader.seconds_augmenting <= loader.seconds_waited


class Stuck:
    """Media that never answers, like a network folder that is gone."""

    size = None

    def __init__(self, release: Path) -> None:
        self._release = release

    def read(self) -> bytes:
        with open(self._release, "rb") as pipe:  # blocks until somebody opens the other end
            return pipe.read()


def with_stuck_sample(split: Split, pipe: Path, key: str) -> Split:
    os.mkfifo(pipe)
    samples = list(split.samples)
    samples[4] = replace(samples[4], media=Stuck(pipe), key=key)
    return replace(split, samples=samples)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_hangs_is_replaced_and_its_sample_named(
    split_of_eight: Split, tmp_path: Path, workers: int
) -> None:
    split = with_stuck_sample(split_of_eight, tmp_path / "pipe", "films/gone.mp4")
    loader = loader_of(split, train=False, workers=workers, patience=1.0)
    with pytest.warns(UserWarning, match=r"the train split has been at films/gone\.mp4 for [1-9]\d* s .* replaced"):
        shown = [films_shown(batch) for batch in loader.epoch(0)]
    assert shown == [[0, 1, 2], [3, 5], [6, 7]]
    assert [bad.media for bad in loader.quarantine.entries] == ["films/gone.mp4"]
    assert "did not come back" in loader.quarantine.entries[0].reason
    assert [films_shown(batch) for batch in loader.epoch(0)] == shown
    loader.close()


def test_in_training_another_sample_stands_in_for_one_that_hangs(split_of_eight: Split, tmp_path: Path) -> None:
    split = with_stuck_sample(split_of_eight, tmp_path / "pipe", "films/gone.mp4")
    loader = loader_of(split, workers=1, patience=1.0)
    with pytest.warns(UserWarning, match="replaced"):
        shown = [film for batch in loader.epoch(0) for film in films_shown(batch)]
    assert len(shown) == 8
    assert 4 not in shown
    loader.close()


class Deadly:
    """Media whose decoder ends its process, as one does that the system kills for its memory."""

    size = None

    def __init__(self, film: Path, left: Path) -> None:
        self._film, self._left = film, left

    def read(self) -> bytes:
        if (deaths := int(self._left.read_text())) > 0:
            self._left.write_text(str(deaths - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return self._film.read_bytes()


@pytest.mark.parametrize("deaths", [1, 3])
def test_a_worker_that_died_is_replaced_and_nothing_is_missing(
    split_of_eight: Split, tmp_path: Path, deaths: int
) -> None:
    (tmp_path / "left").write_text(str(deaths))
    samples = list(split_of_eight.samples)
    samples[4] = replace(samples[4], media=Deadly(Path(str(samples[4].media)), tmp_path / "left"), key="4")
    loader = loader_of(replace(split_of_eight, samples=samples), train=False, workers=1)
    with pytest.warns(UserWarning, match="a process that reads the train split died"):
        shown = [films_shown(batch) for batch in loader.epoch(0)]
    assert shown == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert not loader.quarantine.entries
    loader.close()


@pytest.mark.filterwarnings("ignore:a process that reads")
def test_workers_that_die_again_and_again_end_the_run_in_words(split_of_eight: Split, tmp_path: Path) -> None:
    (tmp_path / "left").write_text("100")
    samples = list(split_of_eight.samples)
    samples[4] = replace(samples[4], media=Deadly(Path(str(samples[4].media)), tmp_path / "left"), key="4")
    loader = loader_of(replace(split_of_eight, samples=samples), train=False, workers=1)
    with pytest.raises(DataError, match="a process that reads the train split died") as caught:
        list(loader.epoch(0))
    assert "data.workers=0" in str(caught.value.problems[0].hint)
    loader.close()


def test_a_busy_worker_is_waited_for(split_of_eight: Split, tmp_path: Path) -> None:
    """One that comes back in the end is no reason to stop, however often the loader has looked."""
    pipe = tmp_path / "pipe"
    film = Path(str(split_of_eight.samples[4].media)).read_bytes()
    split = with_stuck_sample(split_of_eight, pipe, "films/slow.mp4")
    loader = loader_of(split, train=False, workers=1, patience=60.0)
    look, looked = loader._see_that_none_hangs, []

    def look_and_answer() -> None:
        look()
        if not looked:
            pipe.write_bytes(film)
        looked.append(True)

    loader._look, loader._see_that_none_hangs = 0.2, look_and_answer  # type: ignore[method-assign]
    assert [films_shown(batch) for batch in loader.epoch(0)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert looked
    loader.close()
