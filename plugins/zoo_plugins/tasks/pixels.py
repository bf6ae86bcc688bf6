"""Normalised clips as pictures."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from zoo_registry import ClipSpec

SHOWN = 4
"""Frames of a clip in a picture of it."""

ROWS = 8
"""Clips of a batch that are drawn; a figure keeps no more of a whole split."""


def unnormalised(clip_bcthw: Tensor, clip: ClipSpec | None) -> Tensor:
    """Clips (B, C, T, H, W) as they were before mean and deviation: 0..1, in float32.

    Example:
        >>> spec = ClipSpec(frames=1, size=1, mean=(0.5,), std=(0.25,))
        >>> float(unnormalised(torch.ones(1, 1, 1, 1, 1), spec))
        0.75
    """
    clip_bcthw = clip_bcthw.float()
    if clip is None:
        return clip_bcthw
    mean, std = (_constant(values, clip_bcthw.device) for values in (clip.mean, clip.std))
    return clip_bcthw * std + mean


def normalised(clip01_bcthw: Tensor, clip: ClipSpec) -> Tensor:
    """Clips (B, C, T, H, W) in 0..1 with a spec's mean and deviation taken off."""
    mean, std = (_constant(values, clip01_bcthw.device) for values in (clip.mean, clip.std))
    return (clip01_bcthw - mean) / std


@lru_cache(maxsize=16)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Copied to a device once; a copy in every step would make the step wait."""
    with torch.inference_mode(False):  # the first call may come from an evaluation, the next from training
        return torch.tensor(values, device=device).view(-1, 1, 1, 1)


def strip_hwc(clip_cthw: Tensor, clip: ClipSpec | None) -> np.ndarray:
    """A few frames of a normalised clip (C, T, H, W) side by side, as a picture (H, W', 3) uint8."""
    return picture_hwc(unnormalised(clip_cthw[None], clip)[0])


def picture_hwc(clip01_cthw: Tensor) -> np.ndarray:
    """The same of a clip in 0..1; what is outside is cut off."""
    frames = clip01_cthw.shape[1]
    shown = [round(step * (frames - 1) / max(1, min(SHOWN, frames) - 1)) for step in range(min(SHOWN, frames))]
    colour_cthw = clip01_cthw[:3] if len(clip01_cthw) >= 3 else clip01_cthw[:1].expand(3, -1, -1, -1)
    wide_chw = torch.cat([colour_cthw[:, frame] for frame in shown], dim=2)
    picture: np.ndarray = wide_chw.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    return picture
