"""Films played as fast as they were filmed, by models that keep up and models that do not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from tests.zoo.data.films import WriteFilm
from tests.zoo.streaming.models import Watcher, model_of
from zoo.streaming import Summary
from zoo.streaming.windows import Drop

FRAMES, RATE = 36, 25

WINDOWS = range(0, FRAMES - 7 + 1, 2)
"""First frames of all windows of the film."""
WORK = 0.2
"""Seconds that the slow model takes for a window; one comes every 0.08 s."""


def grey(numbered_film: WriteFilm, frames: int, rate: int) -> Path:
    """A film of one colour: longer than numbers fit into a byte."""
    return numbered_film(frames=frames, rate=rate, level=lambda _: 100)


def watch(film: Path, network: Watcher, **options: object) -> tuple[list[zoo.streaming.Answer], Summary]:
    live = zoo.stream(model_of(network), film, stride=2, **options)
    return list(live), live.summary


def test_a_film_lasts_as_long_as_it_was_filmed(numbered_film: WriteFilm) -> None:
    film = grey(numbered_film, FRAMES, RATE)
    began = time.monotonic()
    answers, summary = watch(film, Watcher())
    assert time.monotonic() - began >= (FRAMES - 1) / RATE
    assert summary.windows == len(answers) == len(WINDOWS)
    assert summary.dropped == 0
    assert summary.p95_ms is not None
    assert summary.p95_ms < 1000 * FRAMES / RATE  # lateness does not add up


@pytest.mark.parametrize("frames", [1, 2])
def test_no_answer_comes_before_the_last_frame_that_there_is(frames: int, numbered_film: WriteFilm) -> None:
    """A film shorter than a window: its last frame is repeated beyond its end."""
    (answer,), _ = watch(grey(numbered_film, frames, RATE), Watcher())
    assert 0 <= answer.latency_ms < 1000


@pytest.mark.parametrize(("drop", "queue"), [("oldest", 1), ("newest", 1), ("oldest", 3)])
def test_what_comes_too_fast_is_given_up_and_counted(drop: Drop, queue: int, numbered_film: WriteFilm) -> None:
    answers, summary = watch(grey(numbered_film, FRAMES, RATE), Watcher(WORK), drop=drop, queue=queue)
    assert summary.windows + summary.dropped == len(WINDOWS)
    assert summary.dropped > 0
    assert sum(answer.dropped for answer in answers) <= summary.dropped
    starts = [answer.start for answer in answers]
    assert starts == sorted(starts)


def test_a_source_that_waits_loses_nothing(numbered_film: WriteFilm) -> None:
    answers, summary = watch(grey(numbered_film, 20, RATE), Watcher(0.1), drop="none", queue=1)
    assert [answer.start for answer in answers] == pytest.approx([start / RATE for start in range(0, 14, 2)])
    assert summary.dropped == 0


def test_a_stream_can_be_left_at_any_time(numbered_film: WriteFilm) -> None:
    began = time.monotonic()
    with zoo.stream(model_of(Watcher()), grey(numbered_film, 250, RATE), stride=2) as live:
        next(live)
    assert time.monotonic() - began < 5  # the film lasts ten seconds
    assert list(live) == []


def test_a_stream_stops_when_it_is_told(numbered_film: WriteFilm) -> None:
    answers: list[zoo.streaming.Answer] = []
    live = zoo.stream(model_of(Watcher()), grey(numbered_film, 250, RATE), stride=2, stopped=lambda: len(answers) >= 3)
    for answer in live:
        answers.append(answer)
    assert len(answers) == 3


class TestBudget:
    """Late answers: windows slide further, get smaller, another model answers."""

    def steps(
        self,
        film: Path,
        network: Watcher,
        fallback: Watcher | None = None,
        budget: float = 60,
        drop: Drop = "oldest",
        until: Callable[[], bool] = lambda: False,
    ) -> list[str]:
        """What was given up, in words, until there is enough of it."""
        said: list[str] = []
        model, other = model_of(network, size=128), None if fallback is None else model_of(fallback, size=128)
        list(
            zoo.stream(model, film, stride=2, budget=budget, fallback=other, say=said.append, drop=drop, stopped=until)
        )
        return [text.partition("; now ")[2] for text in said if "; now " in text]

    def test_stride_then_size_are_given_up_in_that_order(self, numbered_film: WriteFilm) -> None:
        network = Watcher(0.08 / 4)  # 80 ms at 128 pixels, 60 at 96, 50 at 80
        film = grey(numbered_film, 1500, 50)
        steps = self.steps(film, network, until=lambda: bool(network.seen) and network.seen[-1].shape[-1] == 80)
        assert steps[:4] == [
            "windows slide 2 times as far",
            "windows slide 4 times as far",
            "clips of 96x96 pixels",
            "clips of 80x80 pixels",
        ]
        sizes = [clip.shape[-1] for clip in network.seen]
        assert sorted(set(sizes), reverse=True) == [128, 96, 80]

    def test_a_model_of_one_size_gives_way_to_the_fallback(self, numbered_film: WriteFilm) -> None:
        network, fallback = Watcher(0.08 / 4, size=128), Watcher()
        film = grey(numbered_film, 1500, 50)
        steps = self.steps(film, network, fallback, until=lambda: bool(fallback.seen))
        assert steps[:3] == [
            "windows slide 2 times as far",
            "windows slide 4 times as far",
            "the fallback tests/watcher instead of tests/watcher",
        ]
        assert fallback.seen

    def test_a_model_in_time_keeps_everything(self, numbered_film: WriteFilm) -> None:
        assert self.steps(grey(numbered_film, 50, 50), Watcher(), budget=60_000, drop="none") == []
