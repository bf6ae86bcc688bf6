"""Keeps latency within a budget: gives up a little when answers are late, takes it back when there is room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.streaming.predictor import Predictor

SETTLING = 3
"""Windows after the start, and after every step, that are not judged: they waited under what was in force before."""

FEWEST = 5
"""Windows that are judged at least."""

REMEMBERED = 20
"""Windows that are judged at most."""

ROOM = 0.5
"""Part of the budget that has to be free before something is taken back."""

PATIENCE = 20
"""Windows that there has to be room for, the first time."""

LONGEST_PATIENCE = 640


@dataclass(frozen=True)
class Rung:
    """One way of answering; each costs less than the one before.

    Attributes:
        predictor: model and size.
        factor: how many times as far windows slide.
        words: what it does, after `now`.
    """

    predictor: Predictor
    factor: int
    words: str


class Budget:
    """Steps down a ladder of rungs when answers are late, and up again when there is room.

    Judged is the 95th percentile of the last windows, at most 20 and only those since the last step; a dropped window
    counts as one that never came. Where a step up has to be taken back, the next one is waited for twice as long.

    Args:
        limit_ms: what an answer may take.
        rungs: the ladder, the best one first.
        say: told of every step.

    Example:
        >>> budget = Budget(100, [Rung(None, 1, "at full rate"), Rung(None, 2, "half as often")], say=print)
        >>> for latency in (900, 900, 900, 80, 120, 130, 140, 150):
        ...     budget.note(latency, dropped=0)
        late: p95 140 ms of 100 ms; now half as often
        >>> for _ in range(20):
        ...     budget.note(40, dropped=0)
        room: p95 40 ms of 100 ms; now at full rate
    """

    def __init__(self, limit_ms: float, rungs: Sequence[Rung], say: Callable[[str], None]) -> None:
        self.limit_ms, self.rungs = limit_ms, tuple(rungs)
        self.at = 0
        self._say = say
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)
        self._since = 0
        self._climbed = False
        self._patience = PATIENCE

    @property
    def rung(self) -> Rung:
        """What is in force."""
        return self.rungs[self.at]

    def note(self, latency_ms: float, dropped: int) -> None:
        """Take in an answer, and how many windows were dropped since the one before."""
        self._since += 1
        if self._since <= SETTLING:
            return
        self._latencies.extend([float("inf")] * min(dropped, REMEMBERED))
        self._latencies.append(latency_ms)
        if len(self._latencies) < FEWEST:
            return
        p95 = sorted(self._latencies)[int(0.95 * (len(self._latencies) - 1))]
        if p95 > self.limit_ms and self.at + 1 < len(self.rungs):
            if self._climbed and self._since <= 2 * self._patience:
                self._patience = min(2 * self._patience, LONGEST_PATIENCE)
            self._step(1, f"late: {'windows were dropped' if p95 == float('inf') else self._measured(p95)}")
        elif self.at and self._since >= self._patience and p95 <= (1 - ROOM) * self.limit_ms:
            self._step(-1, f"room: {self._measured(p95)}")

    def _measured(self, p95: float) -> str:
        return f"p95 {_milliseconds(p95)} of {_milliseconds(self.limit_ms)}"

    def _step(self, by: int, why: str) -> None:
        self.at += by
        self._climbed = by < 0
        self._latencies.clear()
        self._since = 0
        self._say(f"{why}; now {self.rung.words}")


def _milliseconds(value: float) -> str:
    """Whole ones, where they tell enough.

    Example:
        >>> _milliseconds(140.4), _milliseconds(3.14), _milliseconds(0.1)
        ('140 ms', '3.1 ms', '0.1 ms')
    """
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"
