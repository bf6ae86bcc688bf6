"""Hue."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from zoo_plugins.augment.photometric.colours import Colours, Group, Step, around_zero, change_colours
from zoo_plugins.augment.ranges import Strength
from zoo_registry import Range
from zoo_registry.protocols import Augment


def hue(clip_bcthw: Tensor, factor_b: Tensor) -> Tensor:
    """Turn the hue as `torchvision.transforms.v2.functional.adjust_hue` does.

    Args:
        clip_bcthw: RGB, uint8 0..255 or float 0..1.
        factor_b: (B,), turns of the colour circle, -0.5..0.5.

    Example:
        >>> import torch
        >>> red = torch.tensor([200, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1, 1)
        >>> hue(red, torch.tensor([1 / 3])).flatten()  # a third of the circle further is green
        tensor([  0, 200,   0], dtype=torch.uint8)
    """
    return change_colours(clip_bcthw, [("hue", factor_b)])


def random_hue(*, hue: Strength = 0.1, p: Annotated[float, Range(ge=0, le=1)] = 1.0) -> Augment:
    """Turn the hue of some samples by a random part of the circle, the same for all frames; target clips keep theirs.

    Args:
        hue: as in torchvision's ColorJitter: x draws the turn from -x to x, a pair is the range; at most half a circle.
        p: probability for each sample.

    Raises:
        ParameterError: a negative number, a pair in the wrong order, or more than half a circle.
    """
    return Colours((Group((Step("hue", *around_zero("hue", hue), same=0.0),), p),))
