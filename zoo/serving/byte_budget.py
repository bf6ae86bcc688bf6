"""How many bytes of films may lie decoded at a time: a small file can be a large film, and many come at once."""

from __future__ import annotations

import threading
import time

from zoo.serving.refusal import Refusal


class ByteBudget:
    """Bytes that are lent, first come, first served; used by several threads.

    Args:
        most: lent at a time.

    Example:
        >>> budget = ByteBudget(100)
        >>> share = budget.take(60, seconds=0)
        >>> budget.taken
        60
        >>> share.give_back()
        >>> budget.taken
        0
    """

    def __init__(self, most: int) -> None:
        self._most, self._taken, self._closed = most, 0, False
        self._turn = threading.Lock()  # else small films could pass a large one for ever
        self._changed = threading.Condition()

    @property
    def taken(self) -> int:
        """Bytes that are lent now."""
        return self._taken

    def take(self, size: int, seconds: float) -> Share:
        """Wait for so many bytes.

        Raises:
            Refusal: 503, there were not as many within so many seconds, or the server ends.
        """
        until = time.monotonic() + seconds
        if not self._turn.acquire(timeout=seconds):
            raise _no_room()
        try:
            with self._changed:
                left = max(0.0, until - time.monotonic())
                if not self._changed.wait_for(lambda: self._closed or self._taken + size <= self._most, left):
                    raise _no_room()
                if self._closed:
                    raise Refusal(503, "this server is shutting down", retry_after=1)
                self._taken += size
        finally:
            self._turn.release()
        return Share(self, size)

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _give_back(self, size: int) -> None:
        with self._changed:
            self._taken -= size
            self._changed.notify_all()


class Share:
    """Bytes of a budget."""

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget, self._size = budget, size

    def give_back(self) -> None:
        """Let others have them; once is enough, twice does no harm."""
        size, self._size = self._size, 0
        if size:
            self._budget._give_back(size)


def _no_room() -> Refusal:
    return Refusal(503, "films that are decoded take all the memory that they may; come back later", retry_after=5)
