"""Saturation."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from zoo_plugins.augment.photometric.colours import Colours, Group, Step, around_one, change_colours
from zoo_plugins.augment.ranges import Strength
from zoo_registry import Range
from zoo_registry.protocols import Augment


def saturation(clip_bcthw: Tensor, factor_b: Tensor) -> Tensor:
    """Change the saturation as `torchvision.transforms.v2.functional.adjust_saturation` does.

    Args:
        clip_bcthw: RGB, uint8 0..255 or float 0..1.
        factor_b: (B,), 0 is grey, 1 changes nothing.

    Example:
        >>> import torch
        >>> saturation(torch.full((1, 3, 1, 1, 1), 100, dtype=torch.uint8), torch.tensor([1.0])).unique()
        tensor([100], dtype=torch.uint8)
    """
    return change_colours(clip_bcthw, [("saturation", factor_b)])


def random_saturation(*, saturation: Strength = 0.4, p: Annotated[float, Range(ge=0, le=1)] = 1.0) -> Augment:
    """Change the saturation of some samples by a random factor, the same for all frames; target clips keep theirs.

    Args:
        saturation: as in torchvision's ColorJitter: x draws the factor from max(0, 1 - x) to 1 + x, a pair is the
            range.
        p: probability for each sample.

    Raises:
        ParameterError: a negative number, or a pair in the wrong order.
    """
    return Colours((Group((Step("saturation", *around_one("saturation", saturation)),), p),))
