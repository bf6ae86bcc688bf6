"""Random colour changes, as many as follow each other done in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.photometric.hsv import turn_hue
from zoo_plugins.augment.photometric.linear import Linear
from zoo_plugins.augment.photometric.passes import in_one_pass, per_sample, top_of
from zoo_plugins.augment.ranges import Strength, in_order
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class Step:
    """One change by a factor that is uniform in a range.

    Attributes:
        kind: `brightness`, `contrast`, `saturation`, `hue` or `invert`.
        low, high: of the factor.
        same: the factor that changes nothing.
    """

    kind: str
    low: float
    high: float
    same: float = 1.0


@dataclass(frozen=True)
class Group:
    """Steps that are done to a sample all or none, with probability p."""

    steps: tuple[Step, ...]
    p: float = 1.0

    def draw(self, count: int, generator: Generator) -> list[tuple[str, Tensor]]:
        """What is done and the factor (B,) of every sample, on the CPU."""
        chosen_b = torch.rand(count, generator=generator) < self.p
        drawn = []
        for step in self.steps:
            # All are drawn even when unused, so that switching one off leaves the others' draws alone.
            factor_b = step.low + (step.high - step.low) * torch.rand(count, generator=generator)
            if step.low != step.same or step.high != step.same:
                drawn.append((step.kind, torch.where(chosen_b, factor_b, step.same)))
        return drawn


@dataclass(frozen=True)
class Colours:
    """Groups of colour changes one after the other.

    All that is linear in a pixel and its grey (brightness, contrast, saturation, grayscale, invert) is one matrix up to
    the next change of hue. Values are cut off at black and white before a change of hue and at the end, not in between.
    """

    groups: tuple[Group, ...]

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with the colours of every sample changed by factors of its own."""
        clip_bcthw = batch.inputs[CLIP]
        drawn = [one for group in self.groups for one in group.draw(len(clip_bcthw), generator)]
        return replace(batch, inputs={**batch.inputs, CLIP: change_colours(clip_bcthw, drawn)})

    def fused(self, following: Augment) -> Augment | None:
        """Both in one pass."""
        return Colours(self.groups + following.groups) if isinstance(following, Colours) else None


def change_colours(clip_bcthw: Tensor, changes: Sequence[tuple[str, Tensor]]) -> Tensor:
    """Colour changes one after the other, in one pass.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.
        changes: what is done and the factors (B,) of it, on the CPU.
    """
    if not changes:
        return clip_bcthw
    top = top_of(clip_bcthw)
    passes: list[Callable[[Tensor, slice], Tensor]] = []
    linear: Linear | None = None
    for kind, factor_b in changes:
        if kind == "hue":
            if linear is not None:
                passes += [_matrix(linear, top), lambda values, rows: values.clamp_(0, top)]
            passes.append(_turn(factor_b))
            linear = None
        else:
            before = linear or Linear.unchanged(len(clip_bcthw), factor_b.device)
            linear = getattr(before, f"then_{kind}")(factor_b)
    if linear is not None:
        passes.append(_matrix(linear, top))

    def all_of_them(values: Tensor, rows: slice) -> Tensor:
        for change in passes:
            values = change(values, rows)
        return values

    return in_one_pass(clip_bcthw, all_of_them)


def _matrix(linear: Linear, top: float) -> Callable[[Tensor, slice], Tensor]:
    return lambda values, rows: linear.apply(values, rows, top)


def _turn(factor_b: Tensor) -> Callable[[Tensor, slice], Tensor]:
    def turn(values: Tensor, rows: slice) -> Tensor:
        turns_b = factor_b[rows]
        if turns_b.device.type == "cpu" and not turns_b.any():
            return values
        return turn_hue(values, per_sample(turns_b, values))

    return turn


def around_one(name: str, strength: Strength) -> tuple[float, float]:
    """Range of a factor as torchvision's ColorJitter reads it: x means max(0, 1 - x) .. 1 + x, a pair is the range.

    Raises:
        ParameterError: a pair in the wrong order, or a negative number.
    """
    low, high = (max(0.0, 1 - strength), 1 + strength) if isinstance(strength, int | float) else strength
    _check(name, strength, low, high)
    return low, high


def around_zero(name: str, strength: Strength) -> tuple[float, float]:
    """Range of a turn of the hue: x means -x .. x, a pair is the range; parts of the circle, at most half of it.

    Raises:
        ParameterError: a pair in the wrong order, or beyond half a circle.
    """
    low, high = (-strength, strength) if isinstance(strength, int | float) else strength
    _check(name, strength, low, high, least=-0.5, greatest=0.5)
    return low, high


def _check(
    name: str, written: Strength, low: float, high: float, least: float = 0.0, greatest: float = float("inf")
) -> None:
    if isinstance(written, int | float) and written < 0:
        raise ParameterError(
            f"{name} is {written}", hint=f"write a number of at least 0, or a range such as [{least:g}, 0.5]"
        )
    in_order(name, low, high)
    if low < least or high > greatest:
        raise ParameterError(
            f"{name} goes from {low:g} to {high:g}",
            hint=f"keep it at {least:g} or more" + (f" and {greatest:g} or less" if greatest < 1e9 else ""),
        )
