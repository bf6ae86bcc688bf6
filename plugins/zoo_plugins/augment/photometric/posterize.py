"""Fewer grey levels."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from zoo_plugins.augment.photometric.passes import in_one_pass, per_sample
from zoo_plugins.augment.photometric.some_samples import Fixed
from zoo_registry import Range
from zoo_registry.protocols import Augment


def posterize(clip_bcthw: Tensor, bits_b: Tensor) -> Tensor:
    """Keep only the highest bits of each value, as `torchvision.transforms.v2.functional.posterize` does.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1, which is cut to as many levels.
        bits_b: (B,) int64, 0..8.

    Example:
        >>> posterize(torch.tensor([127, 128, 255], dtype=torch.uint8).view(1, 1, 1, 1, 3), torch.tensor([1])).flatten()
        tensor([  0, 128, 128], dtype=torch.uint8)
    """
    if not clip_bcthw.is_floating_point():
        masks_b = (0xFF << (8 - bits_b)) & 0xFF
        return clip_bcthw & masks_b.to(torch.uint8).to(clip_bcthw.device, non_blocking=True).view(-1, 1, 1, 1, 1)
    levels_b = 2.0**bits_b

    def cut(values: Tensor, rows: slice) -> Tensor:
        levels = per_sample(levels_b[rows], values)
        return torch.minimum(values.mul_(levels).floor_(), levels - 1).div_(levels)

    return in_one_pass(clip_bcthw, cut)


def random_posterize(
    *, bits: Annotated[int, Range(ge=0, le=8)] = 4, p: Annotated[float, Range(ge=0, le=1)] = 0.5
) -> Augment:
    """Leave some samples only few grey levels in each channel; target clips keep theirs.

    Args:
        bits: how many to keep of each value: 2 to the power of it levels.
        p: probability for each sample.
    """
    return Fixed(partial(_to_bits, bits=bits), p)


def _to_bits(clip_bcthw: Tensor, *, bits: int) -> Tensor:
    return posterize(clip_bcthw, torch.full((len(clip_bcthw),), bits))
