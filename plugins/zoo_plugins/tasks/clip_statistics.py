"""What can be told of clips without a network that has learnt to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d, pad

GRID = (2, 4, 4)
"""Cells along time, height and width."""


def clip_statistics(clip_bcthw: Tensor) -> Tensor:
    """Brightness, contrast and motion of every cell of a coarse grid, by channel.

    Means alone would call a grey clip a good one, as the mean of all clips is grey; it has neither contrast nor motion.

    Args:
        clip_bcthw: clips (B, C, T, H, W).

    Returns:
        (B, 3 x C x 32): means, standard deviations, and mean absolute differences of neighbouring frames.

    Example:
        >>> clip_statistics(torch.ones(2, 3, 8, 16, 16)).view(2, 3, 96)[0].mean(1)
        tensor([1., 0., 0.])
    """
    clip_bcthw = clip_bcthw.float()
    mean, square = (adaptive_avg_pool3d(each, GRID) for each in (clip_bcthw, clip_bcthw.square()))
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    change_bcthw = pad(clip_bcthw.diff(dim=2).abs(), (0, 0, 0, 0, 1, 0))  # a picture does not move
    return torch.cat([each.flatten(1) for each in (mean, deviation, adaptive_avg_pool3d(change_bcthw, GRID))], dim=1)
