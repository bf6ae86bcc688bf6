"""The histogram of each channel made flat."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from zoo_plugins.augment.arithmetic import computed_in
from zoo_plugins.augment.photometric.some_samples import Fixed
from zoo_plugins.augment.photometric.tables import look_up
from zoo_registry import Range
from zoo_registry.protocols import Augment


def equalize(clip_bcthw: Tensor) -> Tensor:
    """Spread the values of every channel of every frame, as `torchvision.transforms.v2.functional.equalize` and PIL do.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1, of which 256 levels are left.
    """
    if clip_bcthw.is_floating_point():
        computed = computed_in(clip_bcthw.dtype)
        levels = (clip_bcthw.to(computed) * (256 - 1e-3)).to(torch.uint8)  # as torchvision makes bytes of floats
        return (equalize(levels).to(computed) / 255).to(clip_bcthw.dtype)
    return look_up(clip_bcthw, _tables(_histograms(clip_bcthw)))


def _histograms(clip_bcthw: Tensor) -> Tensor:
    """How often every value occurs in each channel of each frame: (B, C, T, 256) int64."""
    shape = (*clip_bcthw.shape[:3], 256)
    if clip_bcthw.device.type == "cpu":
        planes = [plane.flatten() for sample in clip_bcthw for channel in sample for plane in channel]
        return torch.stack([torch.bincount(plane, minlength=256) for plane in planes]).view(shape)
    values = clip_bcthw.flatten(3).long()
    counts = torch.zeros(shape, dtype=torch.int64, device=clip_bcthw.device)
    return counts.scatter_add_(-1, values, torch.ones_like(values))


def _tables(counts: Tensor) -> Tensor:
    """What each value becomes, by PIL's rule (`ImageOps.equalize`); the values themselves where there is only one step.

    A step is how many pixels go to each of 255 levels, when those of the brightest value are left out; a value goes to
    the level that the pixels below it and half a step have filled.
    """
    below = counts.cumsum(-1)
    pixels = below[..., -1:]
    brightest = below.argmax(-1, keepdim=True)  # the first value at which the sum is complete
    step = (pixels - counts.gather(-1, brightest)) // 255
    tables = ((below - counts + step // 2) // step.clamp(min=1)).clamp(0, 255)
    unchanged = torch.arange(256, device=counts.device)
    return torch.where(step > 0, tables, unchanged).to(torch.uint8)


def random_equalize(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Make the histograms of some samples flat, frame by frame; target clips stay as they are.

    Args:
        p: probability for each sample.
    """
    return Fixed(equalize, p)
