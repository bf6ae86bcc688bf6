"""The negative."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from zoo_plugins.augment.photometric.colours import Colours, Group, Step
from zoo_registry import Range
from zoo_registry.protocols import Augment


def invert(clip_bcthw: Tensor) -> Tensor:
    """Black for white and white for black.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.

    Example:
        >>> import torch
        >>> invert(torch.tensor([0, 200], dtype=torch.uint8))
        tensor([255,  55], dtype=torch.uint8)
    """
    return 1 - clip_bcthw if clip_bcthw.is_floating_point() else clip_bcthw.bitwise_not()


def random_invert(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Turn some samples into their negative; target clips stay as they are.

    Args:
        p: probability for each sample.
    """
    return Colours((Group((Step("invert", 1.0, 1.0, same=0.0),), p),))
