"""The colour circle turned."""

from __future__ import annotations

import torch
from torch import Tensor

_RED_GREEN_BLUE = (0.0, 2.0, 4.0)  # places on the circle, in sixths of it
_NEARLY_GREY = 1e-12


def turn_hue(values_bcthw: Tensor, turn_b1111: Tensor) -> Tensor:
    """Turn the hue through HSV (Smith 1978, "Color gamut transform pairs"), as torchvision's `adjust_hue` does.

    Every step is plain arithmetic: comparisons and choices are ten times as slow on a CPU.

    Args:
        values_bcthw: float RGB, from 0 to any value of white; overwritten.
        turn_b1111: turns of the colour circle, -0.5..0.5.
    """
    red, green, blue = (values_bcthw.narrow(1, channel, 1) for channel in range(3))
    low = torch.minimum(red, green)
    torch.minimum(low, blue, out=low)
    chroma = torch.maximum(red, green)
    torch.maximum(chroma, blue, out=chroma).sub_(low)
    place = _place(red - low, green - blue, chroma)
    # A channel is full within a sixth of the circle around its place and falls to nothing over the sixth that follows.
    for channel, centre in zip((red, green, blue), _RED_GREEN_BLUE, strict=True):
        away = torch.add(place, turn_b1111 + (3 - centre) / 6)
        away.sub_(away.round()).abs_()
        torch.addcmul(low, away.mul_(-6).add_(2).clamp_(0, 1), chroma, out=channel)
    return values_bcthw


def _place(red: Tensor, difference: Tensor, chroma: Tensor) -> Tensor:
    """Where on the circle, in turns from cyan, which is opposite to red.

    With red and the difference of green and blue as parts of the chroma, the distance from cyan in sixths is d for no
    red, 1 + red for d = 1, and 3 - d for full red: d + red * (3 - 2 d) is all three. Blue is on one side, green on the
    other.
    """
    parts = chroma.clamp(min=_NEARLY_GREY).reciprocal_()
    red.mul_(parts)
    difference.mul_(parts)
    distance = difference.abs()
    red.mul_(torch.mul(distance, -2).add_(3))
    return distance.add_(red).copysign_(difference).mul_(-1 / 6)
