"""What a smaller picture leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from zoo_plugins.augment.arithmetic import computed_in
from zoo_plugins.augment.degradation.drawn import Degradation, uniform
from zoo_plugins.augment.ranges import in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment

Kernel = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]
Factor = Annotated[float, Range(ge=1, le=1000)]


def scale(frames_tchw: Tensor, size: tuple[int, int], kernel: Kernel) -> Tensor:
    """Frames scaled to (height, width). Bilinear, bicubic and Lanczos are as wide as what they leave out (antialiased).

    Args:
        frames_tchw: float.
        size: (height, width).
        kernel: `lanczos` is the windowed sinc of three lobes (Duchon 1979), as in PIL.
    """
    if kernel == "lanczos":
        rows = lanczos(frames_tchw.shape[-2], size[0]).to(frames_tchw.device, frames_tchw.dtype, non_blocking=True)
        columns = lanczos(frames_tchw.shape[-1], size[1]).to(frames_tchw.device, frames_tchw.dtype, non_blocking=True)
        return rows @ frames_tchw @ columns.T
    if kernel in ("bilinear", "bicubic"):
        return interpolate(frames_tchw, size=size, mode=kernel, antialias=True)
    return interpolate(frames_tchw, size=size, mode="nearest-exact" if kernel == "nearest" else kernel)


def lanczos(there: int, wanted: int) -> Tensor:
    """Weights (wanted, there) of every old pixel in every new one, float64; rows sum to one."""
    ratio = there / wanted
    width = max(1.0, ratio)
    centre = (torch.arange(wanted, dtype=torch.float64).view(-1, 1) + 0.5) * ratio
    distance = (torch.arange(there, dtype=torch.float64) + 0.5 - centre) / width
    weights = torch.sinc(distance) * torch.sinc(distance / 3) * (distance.abs() < 3)
    return weights / weights.sum(1, keepdim=True)


def downsample(clip_cthw: Tensor, factor: float, kernel: Kernel, up: Kernel) -> Tensor:
    """A clip made smaller and as large again.

    Args:
        clip_cthw: uint8 0..255 or float 0..1.
        factor: how many times smaller each side is, at least 1; sizes are rounded, one pixel is the least.
        kernel: of the way down.
        up: of the way up.
    """
    height, width = clip_cthw.shape[-2:]
    small = (max(1, math.floor(height / factor + 0.5)), max(1, math.floor(width / factor + 0.5)))
    frames = clip_cthw.transpose(0, 1).to(computed_in(clip_cthw.dtype))
    blurred = scale(scale(frames, small, kernel), (height, width), up)
    kept = blurred.clamp(0, 1) if clip_cthw.is_floating_point() else blurred.round().clamp(0, 255)
    return kept.to(clip_cthw.dtype).transpose(0, 1)


@dataclass(frozen=True, kw_only=True)
class Downsample(Degradation[float]):
    """See `random_downsample`."""

    factor: tuple[float, float]
    kernel: Kernel
    up: Kernel

    def draw(self, clip_bcthw: Tensor, generator: Generator) -> Sequence[float]:
        """A factor for each sample."""
        return uniform(len(clip_bcthw), *self.factor, generator)

    def degrade(self, clip_cthw: Tensor, drawn: float) -> Tensor:
        """The clip with fewer details."""
        return downsample(clip_cthw, drawn, self.kernel, self.up)


def random_downsample(
    *,
    factor: tuple[Factor, Factor] = (1.0, 4.0),
    kernel: Kernel = "bicubic",
    up: Kernel = "bicubic",
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
) -> Augment:
    """Scale clips down and up again to their size; target clips stay sharp.

    Args:
        factor: least and greatest; it is uniform between. Each side becomes so many times smaller.
        kernel: filter on the way down; all but `nearest` are antialiased.
        up: filter on the way up.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    in_order("factor", *factor)
    return Downsample(factor=factor, kernel=kernel, up=up, p=p)
