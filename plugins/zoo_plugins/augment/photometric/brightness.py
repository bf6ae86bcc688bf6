"""Brightness."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from zoo_plugins.augment.photometric.colours import Colours, Group, Step, around_one, change_colours
from zoo_plugins.augment.ranges import Strength
from zoo_registry import Range
from zoo_registry.protocols import Augment


def brightness(clip_bcthw: Tensor, factor_b: Tensor) -> Tensor:
    """Scale the brightness as `torchvision.transforms.v2.functional.adjust_brightness` does.

    Args:
        clip_bcthw: RGB, uint8 0..255 or float 0..1.
        factor_b: (B,), 0 is black, 1 changes nothing.

    Example:
        >>> import torch
        >>> brightness(torch.full((1, 3, 1, 1, 1), 100, dtype=torch.uint8), torch.tensor([1.0])).unique()
        tensor([100], dtype=torch.uint8)
    """
    return change_colours(clip_bcthw, [("brightness", factor_b)])


def random_brightness(*, brightness: Strength = 0.4, p: Annotated[float, Range(ge=0, le=1)] = 1.0) -> Augment:
    """Scale the brightness of some samples by a random factor, the same for all frames; target clips keep theirs.

    Args:
        brightness: as in torchvision's ColorJitter: x draws the factor from max(0, 1 - x) to 1 + x, a pair is the
            range.
        p: probability for each sample.

    Raises:
        ParameterError: a negative number, or a pair in the wrong order.
    """
    return Colours((Group((Step("brightness", *around_one("brightness", brightness)),), p),))
