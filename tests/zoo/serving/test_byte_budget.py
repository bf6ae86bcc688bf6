"""Bytes of films that lie decoded: never more than there may be, and all are given back."""

from __future__ import annotations

import threading
import time

import pytest

from zoo.serving.byte_budget import ByteBudget
from zoo.serving.refusal import Refusal


def test_who_finds_no_room_waits_for_it() -> None:
    budget = ByteBudget(100)
    share = budget.take(60, 0)
    with pytest.raises(Refusal, match="come back later") as caught:
        budget.take(41, 0.05)
    assert (caught.value.status, budget.taken) == (503, 60)
    assert caught.value.retry_after is not None
    threading.Timer(0.1, share.give_back).start()
    budget.take(100, 5)
    assert budget.taken == 100


def test_what_is_given_back_twice_counts_once() -> None:
    budget = ByteBudget(100)
    share, other = budget.take(60, 0), budget.take(40, 0)
    share.give_back()
    share.give_back()
    assert budget.taken == 40
    other.give_back()
    assert budget.taken == 0


def test_small_ones_do_not_pass_a_large_one() -> None:
    budget = ByteBudget(100)
    first = budget.take(60, 0)
    came: list[int] = []

    def take(size: int) -> None:
        budget.take(size, 5)
        came.append(size)

    threads = [threading.Thread(target=take, args=(size,)) for size in (90, 10)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    assert came == []  # though 10 would fit
    first.give_back()
    for thread in threads:
        thread.join(5)
    assert came == [90, 10]


def test_nobody_waits_for_a_server_that_ends() -> None:
    budget = ByteBudget(100)
    budget.take(100, 0)
    threading.Timer(0.1, budget.close).start()
    began = time.monotonic()
    with pytest.raises(Refusal, match="shutting down"):
        budget.take(1, 20)
    assert time.monotonic() - began < 5
