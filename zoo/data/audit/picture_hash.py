"""What is kept of a film to find it again: a hash and a tiny picture of every sampled frame.

The hash is the one known as pHash (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010):
the 8 x 8 lowest frequencies of the cosine transform of a 32 x 32 grey picture, each larger than their median or not.
It survives scaling, compression and changes of brightness, and moves by about half of its bits between pictures that
have nothing in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

if TYPE_CHECKING:
    from torch import Tensor

HASHED = 32
"""Pixels on a side of the grey picture that is hashed."""

KEPT = 16
"""Pixels on a side of the grey picture that is kept."""

SAMPLED = 16
"""Frames of a span that are looked at, spread evenly over it."""

LOWEST = 8
"""Frequencies on a side that go into the hash: 64 bits."""

BAR = 24.0
"""Luma (0..255) that no pixel of a black bar exceeds, noise of compression included."""

LIT = 0.02
"""Part of the pixels of a row or column, over all frames, that is brighter than a bar where there is a picture."""

LEAST_SHOWN = 0.25
"""Part of the frame that a picture takes at least, between its bars."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in ITU-R BT.601."""


def luma(clip_cthw: Tensor) -> Tensor:
    """The grey film of an RGB one.

    Args:
        clip_cthw: uint8 (3, T, H, W).

    Returns:
        float32 (T, H, W), 0..255.
    """
    red, green, blue = clip_cthw.float()
    luma_thw: Tensor = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return luma_thw


def without_bars(luma_thw: Tensor) -> Tensor:
    """A grey film without black bars at its edges, which copies get and lose; as it is where little else would be left.

    Args:
        luma_thw: (T, H, W), 0..255.

    Example:
        >>> import torch
        >>> letterboxed_thw = torch.full((2, 20, 32), 90.0)
        >>> letterboxed_thw[:, :3] = letterboxed_thw[:, -3:] = 0
        >>> without_bars(letterboxed_thw).shape
        torch.Size([2, 14, 32])
    """
    lit_hw = (luma_thw > BAR).float().mean(dim=0)
    rows, columns = (torch.nonzero(lit_hw.mean(dim=across) > LIT).flatten().tolist() for across in (1, 0))
    if not rows or not columns:
        return luma_thw
    shown_thw = luma_thw[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return shown_thw if shown_thw[0].numel() >= LEAST_SHOWN * luma_thw[0].numel() else luma_thw


def squared(luma_thw: Tensor, side: int) -> np.ndarray:
    """Every frame averaged down to a square, whatever its shape: float32 (T, side, side)."""
    pictures: np.ndarray = adaptive_avg_pool2d(luma_thw, side).numpy()
    return pictures


def perceptual_hashes(luma_tss: np.ndarray) -> np.ndarray:
    """The 64-bit pHash of square grey pictures.

    Args:
        luma_tss: float (T, 32, 32).

    Returns:
        uint64 (T,); the first bit is the mean, then row by row of the frequencies.

    Example:
        >>> picture = np.random.default_rng(0).uniform(0, 100, (1, 32, 32))
        >>> hamming(perceptual_hashes(picture), perceptual_hashes(picture * 0.5 + 40)).tolist()
        [0]
    """
    basis = _cosines(luma_tss.shape[-1])[:LOWEST]
    low_tkk = basis @ luma_tss.astype(np.float64) @ basis.T
    low_tn = low_tkk.reshape(len(low_tkk), -1)
    bits_tn = low_tn > np.median(low_tn, axis=1, keepdims=True)
    words: np.ndarray = np.packbits(bits_tn, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return words


def hamming(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """By how many bits hashes differ, elementwise."""
    counts: np.ndarray = np.bitwise_count(one ^ other)
    return counts


def _cosines(size: int) -> np.ndarray:
    """The type II discrete cosine transform as a matrix, without the factors that make it orthonormal."""
    frequency, place = np.mgrid[:size, :size]
    matrix: np.ndarray = np.cos(np.pi * frequency * (2 * place + 1) / (2 * size))
    return matrix
