"""What parameters may be: the bounds that several augmentations share, and ranges that go upwards."""

from __future__ import annotations

from typing import Annotated

from zoo_registry import Range
from zoo_registry.errors import ParameterError

Level = Annotated[float, Range(ge=0, le=255)]
Fill = Level | tuple[Level, Level, Level]
"""A grey or a colour, 0..255, also for clips of floats."""

MaskFill = Annotated[int, Range(ge=0, le=255)]
"""A class of pixels: masks are bytes."""

Degrees = Annotated[float, Range(ge=-360, le=360)]
ShearDegrees = Annotated[float, Range(ge=-89, le=89)]
"""At 90 degrees rows would be infinitely far apart."""

Ratio = Annotated[float, Range(ge=0.001, le=1000)]
"""Of two sides."""

Alpha = Annotated[float, Range(gt=0, le=1000)]
"""Of a beta distribution: near 0 or 1 for a small one, nearly always a half for a large one."""


_Factor = Annotated[float, Range(ge=-1000, le=1000)]
Strength = _Factor | tuple[_Factor, _Factor]
"""Of a colour change as in torchvision's ColorJitter: a number for a range around what changes nothing, or a range."""


def in_order(name: str, low: float, high: float) -> tuple[float, float]:
    """A range that goes upwards.

    Raises:
        ParameterError: it goes down.
    """
    if low > high:
        raise ParameterError(f"{name} goes from {low:g} down to {high:g}", hint=f"write {name}: [{high:g}, {low:g}]")
    return low, high
