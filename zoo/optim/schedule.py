"""How the learning rate changes: a factor of the optimiser's `lr`, by the objective's own steps.

A schedule is a function of the step and the epoch, so resuming one takes nothing else; only `plateau` remembers
anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from zoo_registry.entries import Range
from zoo_registry.errors import ParameterError

Warmup = Annotated[float, Range(ge=0)]
"""Below 1 a fraction of the run, from 1 on a whole number of the objective's steps (of epochs with `per: epoch`)."""

Fraction = Annotated[float, Range(ge=0, le=1)]


@dataclass
class Schedule:
    """What all schedules share: a linear rise over the first `warmup` steps, from 1/(warmup + 1) of the rate.

    Args:
        steps: how many steps the objective takes in the whole run.
        epochs: how many epochs the run has.
        warmup: length of the rise; see `Warmup`.

    Raises:
        ParameterError: a warm-up that is neither a fraction nor whole, or anything longer than the run.
    """

    steps: int
    epochs: int
    warmup: Warmup = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        self._must_be_length("warmup", self.warmup)
        if self.warmup > max(self.length, 1):
            raise ParameterError(
                f"a warm-up of {self.warmup:g} {self.unit} is longer than the run, which has {self.length}",
                hint="write a fraction of the run, such as 0.1",
            )

    @property
    def unit(self) -> str:
        """What the rate changes by: steps or epochs."""
        return "steps"

    @property
    def length(self) -> int:
        """Of the run, in that unit."""
        return self.steps if self.unit == "steps" else self.epochs

    @property
    def rise(self) -> int:
        """Length of the warm-up, in that unit."""
        return self.part(self.warmup)

    def part(self, amount: float) -> int:
        """A fraction of the run, or a number, as a whole number of steps or epochs."""
        return round(amount * self.length) if amount < 1 else int(amount)

    def scale(self, step: int, epoch: int) -> float:
        """What the learning rate is multiplied by.

        Args:
            step: how many steps this objective has taken before.
            epoch: how many epochs are over.
        """
        at = step if self.unit == "steps" else epoch
        if at < self.rise:
            return (at + 1) / (self.rise + 1)
        return self.after_rise(at, epoch)

    def after_rise(self, at: int, epoch: int) -> float:
        """The factor once the warm-up is over.

        Args:
            at: steps or epochs, whichever the rate changes by.
            epoch: how many epochs are over.
        """
        return 1.0

    def epoch_end(self, value: float, direction: Literal["max", "min"]) -> None:
        """The monitored value after an epoch."""

    def state(self) -> dict[str, Any]:
        """What cannot be told from the step; JSON-able."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""

    def progress(self, at: int) -> float:
        """From 0 at the end of the warm-up to 1 at the end of the run."""
        return min((at - self.rise) / max(self.length - self.rise, 1), 1.0)

    def _must_be_length(self, name: str, amount: float) -> None:
        if amount >= 1 and amount != int(amount):
            raise ParameterError(
                f"{name} is {amount:g}",
                hint=f"below 1 it is a fraction of the run, from 1 on a whole number of {self.unit}",
            )

    def _must_be_within(self, what: str, epoch: int) -> None:
        if epoch > self.epochs:
            raise ParameterError(
                f"{what} lies beyond the end of the run, which has {self.epochs} epochs",
                hint="shorten the schedule, or raise run.epochs",
            )


@dataclass
class Smooth(Schedule):
    """A schedule that may change the rate after every step, or only after an epoch as timm and many papers do.

    Args:
        per: what the rate changes by; `warmup` counts the same.
    """

    per: Literal["step", "epoch"] = field(default="step", kw_only=True)

    @property
    def unit(self) -> str:
        """What the rate changes by."""
        return f"{self.per}s"


@dataclass
class Constant(Smooth):
    """The full rate after the warm-up."""


@dataclass
class Cosine(Smooth):
    """Half a cosine down to `final` of the rate (Loshchilov & Hutter 2017, equation 5, without restarts).

    Args:
        final: where it ends, as a fraction of the rate.
    """

    final: Fraction = field(default=0.0, kw_only=True)

    def after_rise(self, at: int, epoch: int) -> float:
        """Down along the cosine."""
        return _between(self.final, _half_cosine(self.progress(at)))


@dataclass
class Linear(Smooth):
    """A straight line down to `final` of the rate, as torch's LinearLR from 1.

    Args:
        final: where it ends, as a fraction of the rate.
    """

    final: Fraction = field(default=0.0, kw_only=True)

    def after_rise(self, at: int, epoch: int) -> float:
        """Down along the line."""
        return _between(self.final, 1 - self.progress(at))


@dataclass
class Poly(Smooth):
    """What is left of the run, to a power (Chen et al. 2017, section 4.1), as torch's PolynomialLR.

    Args:
        power: of the part of the run that is left; 1 is a straight line.
        final: where it ends, as a fraction of the rate.
    """

    power: Annotated[float, Range(gt=0)] = field(default=0.9, kw_only=True)
    final: Fraction = field(default=0.0, kw_only=True)

    def after_rise(self, at: int, epoch: int) -> float:
        """Down along the power."""
        return _between(self.final, (1 - self.progress(at)) ** self.power)


@dataclass
class Exponential(Smooth):
    """Times `gamma` in every epoch, as torch's ExponentialLR; with `per: step` in equal factors over its steps.

    Args:
        gamma: factor of an epoch.
    """

    gamma: Annotated[float, Range(gt=0, le=1)] = field(kw_only=True)

    def after_rise(self, at: int, epoch: int) -> float:
        """Down by the same factor each time, counted from the start of the run."""
        return float(self.gamma ** (at * self.epochs / max(self.length, 1)))


@dataclass
class WarmupStableDecay(Smooth):
    """Up, then the full rate, then down at the end (Hu et al. 2024, section 4.2).

    Args:
        decay: length of the way down; below 1 a fraction of the run, from 1 on a number of steps or epochs.
        shape: of the way down; `sqrt` is 1 - sqrt (Hägele et al. 2024, equation 1).
        final: where it ends, as a fraction of the rate.
    """

    decay: Annotated[float, Range(gt=0)] = field(default=0.1, kw_only=True)
    shape: Literal["linear", "cosine", "sqrt"] = field(default="linear", kw_only=True)
    final: Fraction = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._must_be_length("decay", self.decay)
        if self.rise + self.part(self.decay) > max(self.length, 1):
            raise ParameterError(
                f"{self.rise} {self.unit} of warm-up and {self.part(self.decay)} of decay are longer than the run, "
                f"which has {self.length}",
                hint="write fractions of the run, such as 0.1",
            )

    def after_rise(self, at: int, epoch: int) -> float:
        """Full, or on the way down."""
        fall = self.part(self.decay)
        gone = max((at - (self.length - fall)) / max(fall, 1), 0.0)
        left = {"linear": 1 - gone, "cosine": _half_cosine(gone), "sqrt": 1 - math.sqrt(gone)}[self.shape]
        return _between(self.final, left)


@dataclass
class Step(Schedule):
    """Times `gamma` after every `step_size` epochs, as torch's StepLR.

    Args:
        step_size: epochs between two changes.
        gamma: factor of each change.
    """

    step_size: Annotated[int, Range(ge=1)] = field(kw_only=True)
    gamma: Annotated[float, Range(gt=0)] = field(default=0.1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._must_be_within(f"a step_size of {self.step_size} epochs", self.step_size)

    def after_rise(self, at: int, epoch: int) -> float:
        """Down in stairs."""
        return float(self.gamma ** (epoch // self.step_size))


@dataclass
class MultiStep(Schedule):
    """Times `gamma` after each of the epochs that `milestones` names, as torch's MultiStepLR.

    Args:
        milestones: numbers of epochs that are over when the rate changes.
        gamma: factor of each change.
    """

    milestones: list[Annotated[int, Range(ge=1)]] = field(kw_only=True)
    gamma: Annotated[float, Range(gt=0)] = field(default=0.1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for milestone in self.milestones:
            self._must_be_within(f"the milestone after epoch {milestone}", milestone)

    def after_rise(self, at: int, epoch: int) -> float:
        """Down in stairs."""
        return float(self.gamma ** sum(milestone <= epoch for milestone in self.milestones))


@dataclass
class OneCycle(Smooth):
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
        at = step if self.per == "step" else epoch
        first, top = 1 / self.div_factor, max(self.warmup * self.length if self.warmup < 1 else self.warmup, 1) - 1
        last, end = first / self.final_div_factor, self.length - 1
        if at <= top:
            return 1 + (first - 1) * _half_cosine(at / top) if top else 1.0
        return last + (1 - last) * _half_cosine(min((at - top) / max(end - top, 1), 1.0))


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
    min_factor: Fraction = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._best: float | None = None
        self._stale = 0
        self._now = 1.0

    def after_rise(self, at: int, epoch: int) -> float:
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


def _between(final: float, left: float) -> float:
    """From 1 where all is left to `final` where nothing is."""
    return final + (1 - final) * left
