"""Brightness, contrast, saturation and hue."""

from __future__ import annotations

from typing import Annotated

from zoo_plugins.augment.photometric.colours import Colours, Group, Step, around_one, around_zero
from zoo_plugins.augment.ranges import Strength
from zoo_registry import Range
from zoo_registry.protocols import Augment


def color_jitter(
    *,
    brightness: Strength = 0.0,
    contrast: Strength = 0.0,
    saturation: Strength = 0.0,
    hue: Strength = 0.0,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
) -> Augment:
    """Change the colours of RGB clips by random factors, the same for all frames; target clips keep theirs.

    The order is always brightness, contrast, saturation, hue, where torchvision draws it; and the first three are one
    colour matrix, so that values are cut off at black and white after them and not in between: highlights that a
    brighter picture would lose come back when the contrast is lowered.

    Args:
        brightness: x draws the factor from max(0, 1 - x) to 1 + x, a pair is the range; factor 0 is black.
        contrast: likewise; factor 0 is the mean grey of the frame.
        saturation: likewise; factor 0 is grey.
        hue: x turns the colour circle by -x to x of it, a pair is the range; at most half.
        p: probability for each sample.

    Raises:
        ParameterError: a negative number, a pair in the wrong order, or a hue of more than half a circle.
    """
    steps = (
        Step("brightness", *around_one("brightness", brightness)),
        Step("contrast", *around_one("contrast", contrast)),
        Step("saturation", *around_one("saturation", saturation)),
        Step("hue", *around_zero("hue", hue), same=0.0),
    )
    return Colours((Group(steps, p),))
