"""Arithmetic on clips in one pass: a few frames at a time, as floats that never leave the processor's cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo_plugins.augment.arithmetic import computed_in

_FLOATS_AT_ONCE = 1 << 19  # 2 MB: less costs calls, more leaves the cache

Change = Callable[[Tensor, slice], Tensor]
"""Called with float values (b, C, t, H, W), which it may write to, and with the rows of the batch that these are.
Returns as many values; they may leave the range of the clip and are cut off."""


def top_of(clip_bcthw: Tensor) -> float:
    """The value of white: 1 for floats, 255 for bytes."""
    return 1.0 if clip_bcthw.is_floating_point() else 255.0


def in_one_pass(clip_bcthw: Tensor, change: Change) -> Tensor:
    """The clip after a change that is written for floats; bytes come out as bytes, rounded to the nearest.

    On a CPU the change sees whole frames of one sample at a time and memory is used again and again. A clip of floats
    is four times as large as its bytes and fits into no cache: writing it once costs more than all arithmetic on it
    (16 frames of 224x224, one thread: 5.4 ms to make the floats in new memory, 0.2 ms in the same memory as before).
    On other devices the change sees the whole batch.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.
        change: what is done, in the units of the clip.
    """
    compute = computed_in(clip_bcthw.dtype)
    if clip_bcthw.device.type != "cpu":
        return _stored(change(clip_bcthw.to(compute, copy=True), slice(None)), clip_bcthw)
    out = torch.empty(clip_bcthw.shape, dtype=clip_bcthw.dtype)
    if not clip_bcthw.numel():
        return out
    count, channels, frames, height, width = clip_bcthw.shape
    step = min(frames, max(1, _FLOATS_AT_ONCE // (channels * height * width)))
    memory = torch.empty(channels * step * height * width, dtype=compute)
    for row in range(count):
        for start in range(0, frames, step):
            piece = clip_bcthw[row : row + 1, :, start : start + step]
            values = memory[: piece.numel()].view(piece.shape).copy_(piece)
            out[row : row + 1, :, start : start + step] = _stored(change(values, slice(row, row + 1)), clip_bcthw)
    return out


def _stored(values: Tensor, clip_bcthw: Tensor) -> Tensor:
    """Values as the clip keeps them; overwrites them."""
    if clip_bcthw.is_floating_point():
        return values.clamp_(0, 1).to(clip_bcthw.dtype)
    whole = values.round_().clamp_(0, 255)
    # Straight from floats to bytes is five times as slow on a CPU as the detour.
    return whole.to(torch.int16) if values.device.type == "cpu" else whole.to(clip_bcthw.dtype)


def per_sample(values_b: Tensor, like: Tensor) -> Tensor:
    """Parameters (b,) as (b, 1, 1, 1, 1) next to the clip that they are for."""
    return values_b.to(like.device, like.dtype, non_blocking=True).view(-1, 1, 1, 1, 1)
