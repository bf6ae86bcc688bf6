"""How the learning rate changes: a factor of the optimiser's `lr`, by the objective's own steps.

A schedule is a function of the step, so resuming one takes nothing but the step; only `plateau` remembers anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from zoo_registry.entries import Range
from zoo_registry.errors import ParameterError

Warmup = Annotated[float, Range(ge=0)]
"""Below 1 a fraction of the objective's steps in the whole run, from 1 on a whole number of steps."""


@dataclass
class Schedule:
    """What all schedules share: a linear rise over the first `warmup` steps, from 1/(warmup + 1) of the rate.

    Args:
        steps: how many steps the objective takes in the whole run.
        warmup: length of the rise; see `Warmup`.

    Raises:
        ParameterError: a warm-up that is neither a fraction nor whole, or is longer than the run.
    """

    steps: int
    warmup: Warmup = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if self.warmup >= 1 and self.warmup != int(self.warmup):
            raise ParameterError(
                f"warmup is {self.warmup:g}",
                hint="below 1 it is a fraction of the run, from 1 on a whole number of steps",
            )
        if self.warmup > max(self.steps, 1):
            raise ParameterError(
                f"a warm-up of {self.warmup:g} steps is longer than the run, which has {self.steps}",
                hint="write a fraction of the run, such as 0.1",
            )

    @property
    def rise(self) -> int:
        """Steps of the warm-up."""
        return round(self.warmup * self.steps) if self.warmup < 1 else int(self.warmup)

    def scale(self, step: int, epoch: int) -> float:
        """What the learning rate is multiplied by.

        Args:
            step: how many steps this objective has taken before.
            epoch: how many epochs are over.
        """
        if step < self.rise:
            return (step + 1) / (self.rise + 1)
        return self.after_rise(step, epoch)

    def after_rise(self, step: int, epoch: int) -> float:
        """The factor once the warm-up is over."""
        return 1.0

    def epoch_end(self, value: float, direction: Literal["max", "min"]) -> None:
        """The monitored value after an epoch."""

    def state(self) -> dict[str, Any]:
        """What cannot be told from the step; JSON-able."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""

    def progress(self, step: int) -> float:
        """From 0 at the end of the warm-up to 1 at the end of the run."""
        return min((step - self.rise) / max(self.steps - self.rise, 1), 1.0)


@dataclass
class Constant(Schedule):
    """The full rate after the warm-up."""


@dataclass
class Cosine(Schedule):
    """Half a cosine down to `final` of the rate (Loshchilov & Hutter 2017, equation 5, without restarts).

    Args:
        final: where it ends, as a fraction of the rate.
    """

    final: Annotated[float, Range(ge=0, le=1)] = field(default=0.0, kw_only=True)

    def after_rise(self, step: int, epoch: int) -> float:
        """Down along the cosine."""
        return self.final + (1 - self.final) * _half_cosine(self.progress(step))


@dataclass
class Step(Schedule):
    """Times `gamma` after every `step_size` epochs, as torch's StepLR.

    Args:
        step_size: epochs between two changes.
        gamma: factor of each change.
    """

    step_size: Annotated[int, Range(ge=1)] = field(kw_only=True)
    gamma: Annotated[float, Range(gt=0)] = field(default=0.1, kw_only=True)

    def after_rise(self, step: int, epoch: int) -> float:
        """Down in stairs."""
        return float(self.gamma ** (epoch // self.step_size))


@dataclass
class OneCycle(Schedule):
    """Up along half a cosine and down along another (Smith & Topin 2018), as torch's OneCycleLR without momentum.

    Args:
        warmup: length of the way up.
        div_factor: the rate starts at 1/div_factor of `lr`, its highest.
        final_div_factor: and ends at 1/final_div_factor of where it started.
    """

    warmup: Warmup = field(default=0.3, kw_only=True)
    div_factor: Annotated[float, Range(ge=1)] = field(default=25.0, kw_only=True)
    final_div_factor: Annotated[float, Range(ge=1)] = field(default=1e4, kw_only=True)

    def scale(self, step: int, epoch: int) -> float:
        """Up, then down to the last step."""
        first, top = 1 / self.div_factor, max(self.warmup * self.steps if self.warmup < 1 else self.warmup, 1) - 1
        last, end = first / self.final_div_factor, self.steps - 1
        if step <= top:
            return 1 + (first - 1) * _half_cosine(step / top) if top else 1.0
        return last + (1 - last) * _half_cosine(min((step - top) / max(end - top, 1), 1.0))


@dataclass
class Plateau(Schedule):
    """Times `factor` when the monitored metric has not improved for more than `patience` epochs.

    As torch's ReduceLROnPlateau with threshold 0. Without validation data the training loss is monitored.

    Args:
        factor: of each change.
        patience: epochs without improvement that are let pass.
        min_factor: never below this fraction of the rate.
    """

    factor: Annotated[float, Range(gt=0, lt=1)] = field(default=0.1, kw_only=True)
    patience: Annotated[int, Range(ge=0)] = field(default=3, kw_only=True)
    min_factor: Annotated[float, Range(ge=0, le=1)] = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._best: float | None = None
        self._stale = 0
        self._now = 1.0

    def after_rise(self, step: int, epoch: int) -> float:
        """Where the changes so far have brought it."""
        return self._now

    def epoch_end(self, value: float, direction: Literal["max", "min"]) -> None:
        """Count epochs without improvement; NaN is none."""
        sign = 1 if direction == "max" else -1
        if not math.isnan(value) and (self._best is None or sign * value > sign * self._best):
            self._best, self._stale = value, 0
        else:
            self._stale += 1
        if self._stale > self.patience:
            self._now, self._stale = max(self._now * self.factor, self.min_factor), 0

    def state(self) -> dict[str, Any]:
        """Best value, epochs since, and factor."""
        return {"best": self._best, "stale": self._stale, "now": self._now}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        self._best, self._stale, self._now = state["best"], state["stale"], state["now"]


def _half_cosine(progress: float) -> float:
    """1 at 0, 0 at 1."""
    return (1 + math.cos(math.pi * progress)) / 2
