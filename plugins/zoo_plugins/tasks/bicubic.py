"""Bicubic resizing as MATLAB's `imresize` does it, which is what super-resolution is measured against.

torch's own bicubic filter weighs the pixels at the border anew instead of mirroring the picture there, and without
`antialias` has another kernel (a = -0.75): both move PSNR by some hundredths of a decibel.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil

import torch
from torch import Tensor


def resized(clip_bcthw: Tensor, scale: Fraction) -> Tensor:
    """Frames `scale` times as high and wide, rounded up.

    Keys' cubic convolution with a = -0.5 (Keys 1981, equation 15); where frames get smaller the kernel is as much wider
    ("antialiasing"). Beyond the border the picture is mirrored. Rows and columns one after the other, and nothing is
    rounded or cut off.

    Args:
        clip_bcthw: floats (B, C, T, H, W) of any range.
        scale: above 0, such as `Fraction(1, 2)`.

    Returns:
        Floats (B, C, T, ceil(H * scale), ceil(W * scale)).

    Example:
        >>> ramp = torch.arange(8.0).expand(1, 1, 1, 8, 8)
        >>> resized(ramp, Fraction(1, 2))[0, 0, 0, 2].tolist()            # a straight line stays one, but for its ends
        [0.44921875, 2.48828125, 4.51171875, 6.55078125]
    """
    for dim in (-2, -1):
        clip_bcthw = _along(clip_bcthw, dim, scale)
    return clip_bcthw


def _along(values: Tensor, dim: int, scale: Fraction) -> Tensor:
    """One dimension resized: a sum over taps, not a product of matrices, which a GPU may compute in TF32 or bf16."""
    index_kn, weight_kn = _taps(values.shape[dim], scale, values.dtype, values.device)
    shape = [1] * values.dim()
    shape[dim] = -1
    total = torch.zeros((), dtype=values.dtype, device=values.device)
    for index_n, weight_n in zip(index_kn, weight_kn, strict=True):
        total = torch.addcmul(total, values.index_select(dim, index_n), weight_n.view(shape))
    return total


@lru_cache(maxsize=32)
def _taps(size: int, scale: Fraction, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """For every tap k, which input pixel each of the n output pixels takes, and how much of it."""
    with torch.inference_mode(False):  # the first call may come from an evaluation, the next from training
        stretch = max(1.0, float(1 / scale))  # of the kernel
        taps = ceil(4 * stretch) + 2
        out_n = torch.arange(ceil(size * scale), dtype=torch.float64)
        place_n = (out_n + 0.5) / float(scale) - 0.5  # of its centre among the input pixels
        first_n = (place_n - 2 * stretch).floor()
        index_kn = first_n + torch.arange(taps, dtype=torch.float64)[:, None]
        weight_kn = _cubic((place_n - index_kn) / stretch)
        weight_kn = weight_kn / weight_kn.sum(0)
        mirrored = index_kn.long() % (2 * size)
        index_kn = torch.where(mirrored < size, mirrored, 2 * size - 1 - mirrored)
        used = weight_kn.abs().amax(1) > 0
        return index_kn[used].to(device), weight_kn[used].to(device, dtype)


def _cubic(distance: Tensor) -> Tensor:
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))
