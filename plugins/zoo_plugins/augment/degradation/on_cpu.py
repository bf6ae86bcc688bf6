"""What codecs do they do on the CPU, with bytes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def as_bytes_on_cpu(clip_cthw: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """A clip after a change of bytes on the CPU; back on its device and in its type.

    From a GPU it is copied there and back, and the step waits for it. Without values (the meta device) only the shape
    is told.

    Args:
        clip_cthw: uint8 0..255 or float 0..1.
        change: called with frames (T, C, H, W) uint8 on the CPU, returns as many.
    """
    if clip_cthw.device.type == "meta":
        return torch.empty_like(clip_cthw)
    is_float = clip_cthw.is_floating_point()
    frames_tchw = clip_cthw.transpose(0, 1)
    pixels = (frames_tchw.float() * 255).round().clamp(0, 255).to(torch.uint8) if is_float else frames_tchw
    changed = change(pixels.cpu().contiguous()).transpose(0, 1).to(clip_cthw.device)
    return changed.to(clip_cthw.dtype) / 255 if is_float else changed
