"""The queue between the source and the model never grows, and says what it gave up."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from zoo.streaming.windows import Drop, WindowQueue


def filled(size: int, drop: Drop, windows: int) -> WindowQueue:
    """A queue that nobody takes from; numbers stand for windows."""
    queue = WindowQueue(size, drop)
    for number in range(windows):
        window: Any = number
        queue.put(window)
    queue.close()
    return queue


def taken(queue: WindowQueue) -> list[object]:
    return list(iter(lambda: queue.get(timeout=0), None))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_oldest_go_so_that_answers_are_about_now(size: int) -> None:
    queue = filled(size, "oldest", 100)
    assert taken(queue) == list(range(100 - size, 100))
    assert queue.dropped == 100 - size


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_newest_go_so_that_answers_are_in_unbroken_pieces(size: int) -> None:
    queue = filled(size, "newest", 100)
    assert taken(queue) == list(range(size))
    assert queue.dropped == 100 - size


def test_none_go_where_the_source_waits() -> None:
    queue = WindowQueue(2, "none")
    windows: list[Any] = list(range(100))
    thread = threading.Thread(target=lambda: [queue.put(window) for window in windows] and queue.close())
    thread.start()
    assert [queue.get(timeout=10) for _ in windows] == windows
    thread.join()
    assert queue.dropped == 0


def test_a_source_that_waits_is_let_go_when_the_queue_is_closed() -> None:
    queue = filled(1, "none", 1)
    window: Any = 1
    queue.put(window)  # would wait for ever
    assert taken(queue) == [0]
    assert queue.drained


def test_nothing_comes_out_of_a_queue_in_which_nothing_is() -> None:
    assert WindowQueue(1, "oldest").get(timeout=0.01) is None
