"""Which epoch was best, and whether it is time to stop."""

from __future__ import annotations

import math
from typing import Any, Literal

from zoo.recipe.schema import EarlyStopSlot


class Monitor:
    """Follows the task's monitored metric over the epochs.

    Args:
        direction: whether more or less is better.
        early_stop: when to stop; None never stops.
        keep: how many of the best epochs are remembered.

    Attributes:
        best: the best value so far, None before the first. NaN is never best.
        best_step: the step after which it was measured.
        best_epoch: its epoch, the first is 1.
        stale: epochs since the last improvement of at least `early_stop.min_delta`.
    """

    def __init__(
        self, direction: Literal["max", "min"], early_stop: EarlyStopSlot | None = None, *, keep: int = 1
    ) -> None:
        self._sign = 1.0 if direction == "max" else -1.0
        self._early_stop = early_stop
        self._keep = keep
        self._ranked: list[tuple[float, int]] = []
        self.best: float | None = None
        self.best_step: int | None = None
        self.best_epoch: int | None = None
        self.stale = 0
        self._mark: float | None = None

    def update(self, value: float, *, step: int, epoch: int) -> bool:
        """Take in an epoch's value; True when it is the best so far."""
        min_delta = self._early_stop.min_delta if self._early_stop else 0.0
        if self._improves(value, self._mark, min_delta):
            self._mark, self.stale = value, 0
        else:
            self.stale += 1
        if not math.isnan(value):
            self._ranked.append((value, step))
            self._ranked = sorted(self._ranked, key=lambda each: -self._sign * each[0])[: self._keep]
        if not self._improves(value, self.best, 0.0):
            return False
        self.best, self.best_step, self.best_epoch = value, step, epoch
        return True

    @property
    def best_steps(self) -> list[int]:
        """Of the best epochs, best first; of equal ones the earlier."""
        return [step for _, step in self._ranked]

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return self._early_stop is not None and self.stale >= self._early_stop.patience

    def state(self) -> dict[str, Any]:
        """JSON-able state for a checkpoint."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "best_epoch": self.best_epoch,
            "stale": self.stale,
            "mark": self._mark,
            "ranked": self._ranked,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` gave."""
        self.best, self.best_step, self.best_epoch = state["best"], state["best_step"], state["best_epoch"]
        self.stale, self._mark = state["stale"], state["mark"]
        self._ranked = [(value, step) for value, step in state["ranked"]]

    def _improves(self, value: float, over: float | None, by: float) -> bool:
        if math.isnan(value):
            return False
        gain = math.inf if over is None else (value - over) * self._sign
        return gain > by if by == 0 else gain >= by
