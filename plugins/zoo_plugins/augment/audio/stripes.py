"""Stripes of a spectrogram, drawn and counted."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def draw_stripes(count: int, stripes: int, part: float, generator: Generator) -> Tensor:
    """Width and place of stripes, as parts of a length that is not known yet.

    Returns:
        (2, B, stripes) float64: widths uniform in 0..part, and places 0..1 in the room that is left beside them.
    """
    draws = torch.rand(2, count, stripes, generator=generator, dtype=torch.float64)
    return torch.stack([draws[0] * part, draws[1]])


def kept(stripes_2bs: Tensor, size: int) -> Tensor:
    """Where no stripe lies.

    As Park et al. 2019 have it: a width is uniform in 0..F, F the part of `size`, in whole bins, and begins anywhere
    in 0..size - width.

    Args:
        stripes_2bs: from `draw_stripes`.
        size: number of frequencies or times.

    Returns:
        (B, size) bool, on the CPU.

    Example:
        >>> kept(torch.tensor([[[0.5]], [[0.5]]]), 8).int()
        tensor([[1, 1, 0, 0, 0, 0, 1, 1]], dtype=torch.int32)
    """
    width_bs = (stripes_2bs[0] * size).round().long()
    start_bs = (stripes_2bs[1] * (size - width_bs + 1)).long()
    bins = torch.arange(size)
    inside = (bins >= start_bs.unsqueeze(2)) & (bins < (start_bs + width_bs).unsqueeze(2))
    return ~inside.any(dim=1)
