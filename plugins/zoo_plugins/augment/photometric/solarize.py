"""Bright values turned into their negative."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from zoo_plugins.augment.photometric.passes import top_of
from zoo_plugins.augment.photometric.some_samples import Fixed
from zoo_plugins.augment.photometric.tables import look_up
from zoo_registry import Range
from zoo_registry.protocols import Augment


def solarize(clip_bcthw: Tensor, threshold_b: Tensor) -> Tensor:
    """Invert what is at least the threshold, as `torchvision.transforms.v2.functional.solarize` does.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.
        threshold_b: (B,), in the units of the clip.

    Example:
        >>> solarize(torch.tensor([99, 100], dtype=torch.uint8).view(1, 1, 1, 1, 2), torch.tensor([100])).flatten()
        tensor([ 99, 155], dtype=torch.uint8)
    """
    if clip_bcthw.is_floating_point():
        threshold = threshold_b.to(clip_bcthw.device, non_blocking=True).view(-1, 1, 1, 1, 1)
        return torch.where(clip_bcthw >= threshold, 1 - clip_bcthw, clip_bcthw)
    every = torch.arange(256, device=threshold_b.device)
    tables_b256 = torch.where(every >= threshold_b.view(-1, 1), 255 - every, every).to(torch.uint8)
    return look_up(clip_bcthw, tables_b256.to(clip_bcthw.device, non_blocking=True))


def random_solarize(
    *, threshold: Annotated[float, Range(ge=0, le=1)] = 0.5, p: Annotated[float, Range(ge=0, le=1)] = 0.5
) -> Augment:
    """Invert the bright values of some samples; target clips keep theirs.

    Args:
        threshold: from where on, as a part of white: 0.5 is what 128 is to bytes.
        p: probability for each sample.
    """
    return Fixed(partial(_from_part, threshold=threshold), p)


def _from_part(clip_bcthw: Tensor, *, threshold: float) -> Tensor:
    return solarize(clip_bcthw, torch.full((len(clip_bcthw),), threshold * top_of(clip_bcthw)))
