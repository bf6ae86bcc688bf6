"""Which sample every worker is reading right now, where the main process can see it."""

from __future__ import annotations

import time

import torch
from torch.utils.data import get_worker_info


class Watch:
    """A place in shared memory per worker: the sample it reads, and since when.

    A worker that hangs inside a decoder, a driver or a network file system cannot say so; the main process looks here.

    Args:
        workers: how many processes read; 0 when the main one does.

    Example:
        >>> watch = Watch(workers=0)
        >>> watch.begin(7)
        >>> watch.longest()[0]
        7
        >>> watch.end()
        >>> watch.longest() is None
        True
    """

    def __init__(self, workers: int) -> None:
        self._places: torch.Tensor = torch.zeros(max(1, workers), 2, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def begin(self, index: int) -> None:
        """This process starts to read a sample."""
        place = self._own()
        place[1] = time.monotonic_ns()
        place[0] = index + 1

    def end(self) -> None:
        """It is done with it."""
        self._own()[0] = 0

    def forget(self) -> None:
        """No process reads: they were ended."""
        self._places.zero_()

    def longest(self) -> tuple[int, float] | None:
        """Index of the sample that has been read for the longest time, and for how many seconds."""
        reading = [(since, index - 1) for index, since in self._places.tolist() if index]
        if not reading:
            return None
        since, index = min(reading)
        return index, (time.monotonic_ns() - since) / 1e9

    def _own(self) -> torch.Tensor:
        info = get_worker_info()
        return self._places[0 if info is None else info.id]
