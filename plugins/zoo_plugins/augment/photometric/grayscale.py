"""Colours taken away."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from zoo_plugins.augment.photometric.colours import Colours, Group, Step, change_colours
from zoo_registry import Range
from zoo_registry.protocols import Augment


def grayscale(clip_bcthw: Tensor) -> Tensor:
    """Grey in all three channels, as `torchvision.transforms.v2.functional.rgb_to_grayscale` makes it.

    Args:
        clip_bcthw: RGB, uint8 0..255 or float 0..1.
    """
    return change_colours(clip_bcthw, [("saturation", torch.zeros(len(clip_bcthw)))])


def random_grayscale(*, p: Annotated[float, Range(ge=0, le=1)] = 0.1) -> Augment:
    """Make some samples grey, still with three channels; target clips keep their colours.

    Args:
        p: probability for each sample.
    """
    return Colours((Group((Step("saturation", 0.0, 0.0),), p),))
