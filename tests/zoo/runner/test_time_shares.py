"""The progress line says where the time goes; when the model waits, one sentence says for what and what to do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from zoo.runner.time_shares import STAGES, TimeShares, in_words


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(clock: Clock, loader: SimpleNamespace, shares: TimeShares, steps: int, **seconds: float) -> None:
    """Steps that take so many seconds at each stage; `wait` for the loader, which says what its workers did."""
    for _ in range(steps):
        loader.seconds_waited += seconds.get("wait", 0)
        loader.seconds_decoding += seconds.get("decoding", 0)
        loader.seconds_augmenting += seconds.get("augmenting", 0)
        clock.now += seconds.get("wait", 0)
        for stage in ("copy", "augment"):
            with shares.measure(stage):
                clock.now += seconds.get(stage, 0)
        for stage in ("forward", "backward", "step"):
            with shares.measure(stage):
                clock.now += seconds.get(stage, 0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loader() -> SimpleNamespace:
    return SimpleNamespace(seconds_waited=5.0, seconds_decoding=7.0, seconds_augmenting=1.0, workers=1)


def test_waiting_is_shared_out_by_what_the_workers_did(clock: Clock, loader: SimpleNamespace) -> None:
    shares = TimeShares(loader, clock)
    # Of 10 s a step waits 6; its workers decoded three times as long as they augmented.
    run(
        clock,
        loader,
        shares,
        4,
        wait=6,
        decoding=9,
        augmenting=3,
        copy=0.5,
        augment=1.5,
        forward=1,
        backward=0.5,
        step=0.5,
    )
    assert shares.read() == pytest.approx(
        {"decode": 0.45, "augment": 0.30, "copy": 0.05, "forward": 0.10, "backward": 0.05, "step": 0.05}
    )
    assert in_words({"decode": 0.45, "augment": 0.3, "copy": 0.05, "forward": 0.2}) == (
        "decode 45 % · augment 30 % · copy 5 % · forward 20 %"
    )


def test_a_reading_begins_anew_and_what_lay_before_a_restart_does_not_count(
    clock: Clock, loader: SimpleNamespace
) -> None:
    shares = TimeShares(loader, clock)
    run(clock, loader, shares, 3, wait=1, decoding=1)
    shares.read()
    clock.now += 1000  # validation
    shares.restart()
    run(clock, loader, shares, 2, forward=1)
    assert shares.read()["forward"] == 1.0


@pytest.mark.parametrize(
    ("seconds", "names", "helps"),
    [
        ({"wait": 8, "decoding": 8, "forward": 2}, "decode 80 %", "a smaller data.clip.resize"),
        ({"wait": 8, "decoding": 1, "augmenting": 7, "forward": 2}, "augment 70 %", "where: device"),
        ({"augment": 8, "forward": 2}, "augment 80 %", "where: worker"),
        ({"copy": 8, "forward": 2}, "copy 80 %", "run.batch"),
    ],
)
def test_a_model_that_waits_is_told_of_once(
    clock: Clock, loader: SimpleNamespace, seconds: dict, names: str, helps: str
) -> None:
    shares = TimeShares(loader, clock)
    run(clock, loader, shares, 3, **seconds)
    shares.read()
    warning = shares.warning()
    assert warning is not None
    assert warning.startswith("the model waits: ")
    assert names in warning
    assert helps in warning
    run(clock, loader, shares, 3, **seconds)
    shares.read()
    assert shares.warning() is None


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [(1, {"wait": 8, "decoding": 8, "forward": 2}), (9, {"wait": 4, "decoding": 4, "forward": 4, "backward": 2})],
)
def test_a_short_wait_or_a_busy_model_is_not_worth_a_word(
    clock: Clock, loader: SimpleNamespace, steps: int, seconds: dict
) -> None:
    shares = TimeShares(loader, clock)
    run(clock, loader, shares, steps, **seconds)
    shares.read()
    assert shares.warning() is None


def test_a_loader_that_says_nothing_is_no_reason_to_fail(clock: Clock) -> None:
    shares = TimeShares(object(), clock)
    with shares.measure("forward"):
        clock.now += 1
    assert shares.read() == dict.fromkeys(STAGES, 0.0) | {"forward": 1.0}
