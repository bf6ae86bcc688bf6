"""Windows on their way to the model: a queue that never grows, and says what it gave up."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.clips.placement import Placement
    from zoo.streaming.plan import Plan

Drop = Literal["oldest", "newest", "none"]
"""What is given up when windows come faster than they are answered: the one that waited longest, the one that comes, or
none, and the source waits."""


@dataclass(frozen=True, eq=False)
class Window:
    """Frames that the model is asked about.

    Attributes:
        plan: by which it was made.
        run: number of the unbroken stretch of the stream that it lies in.
        slots: of its frames.
        frames_cthw: uint8 (3, 1, H, W) each; windows that show the same frame share it.
        placement: how the displayed frame got there.
        start, end: seconds from the first frame of the stream.
        due: when its last frame was due or arrived, on the clock of `time.monotonic`.
    """

    plan: Plan
    run: int
    slots: tuple[int, ...]
    frames_cthw: tuple[Tensor, ...]
    placement: Placement
    start: float
    end: float
    due: float


class WindowQueue:
    """At most `size` windows between the thread that makes them and the one that answers.

    Attributes:
        dropped: how many were given up so far.
        closed: nothing more comes.
    """

    def __init__(self, size: int, drop: Drop) -> None:
        self.size, self.drop = size, drop
        self.dropped = 0
        self.closed = False
        self._waiting: deque[Window] = deque()
        self._changed = threading.Condition()

    def put(self, window: Window) -> None:
        """Hand a window on, or give one up; with `drop="none"` wait until there is room."""
        with self._changed:
            if self.drop == "none":
                self._changed.wait_for(lambda: len(self._waiting) < self.size or self.closed)
            if self.closed:
                return
            if len(self._waiting) >= self.size:
                self.dropped += 1
                if self.drop == "newest":
                    return
                self._waiting.popleft()
            self._waiting.append(window)
            self._changed.notify_all()

    def get(self, timeout: float) -> Window | None:
        """The window that waited longest; None where there is none after so many seconds, or none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self.closed, timeout)
            if not self._waiting:
                return None
            window = self._waiting.popleft()
            self._changed.notify_all()
            return window

    def give_up(self) -> None:
        """Count a window that was taken and is not answered."""
        with self._changed:
            self.dropped += 1

    def close(self) -> None:
        """Let nothing more in; what waits can still be taken."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """Whether nothing waits and nothing comes."""
        with self._changed:
            return self.closed and not self._waiting
