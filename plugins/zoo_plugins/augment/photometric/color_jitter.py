"""Brightness, contrast, saturation and hue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch

_GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601 luma with torchvision's digits


@dataclass(frozen=True)
class ColorJitter:
    """See `color_jitter`."""

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with the colours of every sample changed by factors of its own."""
        clip_bcthw = batch.inputs[CLIP]
        # All four are drawn even when unused, so that switching one off leaves the others' draws alone.
        drawn = torch.rand(4, len(clip_bcthw), 1, 1, 1, 1, generator=generator)
        draws = drawn.to(clip_bcthw.device, non_blocking=True)
        factors = [
            _between(max(0.0, 1 - strength), 1 + strength, draw)
            for strength, draw in zip((self.brightness, self.contrast, self.saturation), draws[:3], strict=True)
        ]
        changed = jitter(_unit(clip_bcthw), *factors)
        if self.hue:
            changed = turn_hue(changed, _between(-self.hue, self.hue, draws[3]))
        return replace(batch, inputs={**batch.inputs, CLIP: _like(changed, clip_bcthw)})


def jitter(clip_bcthw: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Change colours as `torchvision.transforms.v2.functional.adjust_*` does, one after the other in this order.

    Args:
        clip_bcthw: float RGB in 0..1.
        brightness: (B, 1, 1, 1, 1), 0 is black, 1 changes nothing.
        contrast: likewise, 0 is the mean grey of each frame.
        saturation: likewise, 0 is grey.
    """
    clip_bcthw = (clip_bcthw * brightness).clamp(0, 1)
    clip_bcthw = torch.lerp(_grey(clip_bcthw).mean((-2, -1), keepdim=True), clip_bcthw, contrast).clamp(0, 1)
    return torch.lerp(_grey(clip_bcthw), clip_bcthw, saturation).clamp(0, 1)


def turn_hue(clip_bcthw: Tensor, hue: Tensor) -> Tensor:
    """Turn the hue through HSV (Smith 1978, "Color gamut transform pairs"), as torchvision's `adjust_hue` does.

    Args:
        clip_bcthw: float RGB in 0..1.
        hue: (B, 1, 1, 1, 1), turns of the colour circle; -0.5..0.5.
    """
    red, green, blue = clip_bcthw.unbind(1)
    value = clip_bcthw.amax(1)
    chroma = value - clip_bcthw.amin(1)
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    sextant = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = sextant + 6 * hue.squeeze(1)
    # Each channel falls by the chroma within one sextant and stays there for two, at its own place on the circle.
    channels = []
    for place in (5, 3, 1):
        k = (place + turned) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=1)


def _grey(clip_bcthw: Tensor) -> Tensor:
    red, green, blue = (channel * weight for channel, weight in zip(clip_bcthw.split(1, dim=1), _GREY, strict=True))
    return red + green + blue


def _between(low: float, high: float, draw: Tensor) -> Tensor:
    return low + (high - low) * draw


def _unit(clip_bcthw: Tensor) -> Tensor:
    return clip_bcthw if clip_bcthw.is_floating_point() else clip_bcthw.float() / 255


def _like(unit_bcthw: Tensor, original: Tensor) -> Tensor:
    return unit_bcthw if original.is_floating_point() else (unit_bcthw * 255).round().to(original.dtype)


def color_jitter(
    *,
    brightness: Annotated[float, Range(ge=0)] = 0.0,
    contrast: Annotated[float, Range(ge=0)] = 0.0,
    saturation: Annotated[float, Range(ge=0)] = 0.0,
    hue: Annotated[float, Range(ge=0, le=0.5)] = 0.0,
) -> Augment:
    """Change the colours of RGB clips by random factors, the same for all frames; target clips keep theirs.

    Each factor is uniform in [max(0, 1 - strength), 1 + strength]. The order is always brightness, contrast,
    saturation, hue, where torchvision draws it: the difference in what is seen is small, and fixed it is one pass.

    Args:
        brightness: strength; factor 0 is black.
        contrast: strength; factor 0 is the mean grey of the frame.
        saturation: strength; factor 0 is grey.
        hue: the colour circle is turned by a uniform part of it in [-hue, hue].
    """
    return ColorJitter(brightness, contrast, saturation, hue)
