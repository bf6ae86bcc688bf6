"""What falling drops paint over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.degradation.drawn import Degradation, uniform
from zoo_plugins.augment.photometric.passes import in_one_pass, top_of
from zoo_plugins.augment.ranges import Degrees, in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment

Part = Annotated[float, Range(ge=0, le=1)]
Pixels = Annotated[float, Range(gt=0, le=1000)]

_LIGHT = 0.9  # of white: a drop gathers the light of most of the sky
_FARTHEST = 0.4  # how fast, long and opaque the farthest drops are, next to the nearest


@dataclass(frozen=True)
class Drops:
    """Drops of one clip, all falling in one direction.

    Attributes:
        start_n2: where each is in the first frame, (down, right) in pixels of the picture.
        near_n: (n,) 0..1, by how much a drop's speed, length and opacity are those of the nearest.
        speed: of the nearest, pixels a frame.
        angle: of the fall, degrees from straight down to the right.
        length: of the nearest streak, pixels.
        opacity: of the nearest, 0..1.
    """

    start_n2: Tensor
    near_n: Tensor
    speed: float
    angle: float
    length: float
    opacity: float


def streaks(drops: Drops, frames: int, height: int, width: int) -> Tensor:
    """How much of every pixel is painted over: (T, H, W) float 0..1, on the CPU.

    A drop moves by the same way from frame to frame and draws a line back along it; what leaves the picture comes in
    again on the other side. Points of the line between pixels count for the four around them (bilinear).
    """
    slant = math.radians(drops.angle)
    direction_2 = torch.tensor([math.cos(slant), math.sin(slant)])
    points = max(1, math.ceil(drops.length))
    place_t = torch.arange(frames, dtype=torch.float32) * drops.speed
    back_k = torch.arange(points, dtype=torch.float32) * drops.length / points
    along_tnk = (place_t.view(-1, 1, 1) - back_k) * drops.near_n.view(1, -1, 1)
    at_tnk2 = drops.start_n2.view(1, -1, 1, 2) + along_tnk.unsqueeze(-1) * direction_2
    corner_tnk2 = at_tnk2.floor()
    part_tnk2 = at_tnk2 - corner_tnk2
    corner_tnk2 = corner_tnk2.long()
    layer_tp = torch.zeros(frames, height * width)
    for down in (0, 1):
        for right in (0, 1):
            weight = (part_tnk2[..., 0] - (1 - down)).abs() * (part_tnk2[..., 1] - (1 - right)).abs()
            weight = weight * drops.near_n.view(1, -1, 1) * drops.opacity
            row, column = (corner_tnk2[..., 0] + down) % height, (corner_tnk2[..., 1] + right) % width
            layer_tp.scatter_add_(1, (row * width + column).flatten(1), weight.flatten(1))
    return layer_tp.view(frames, height, width).clamp_(0, 1)


def rain(clip_cthw: Tensor, drops: Drops) -> Tensor:
    """A clip behind falling rain: I = (1 - a) J + a E, with a as much as streaks cover and E the light of the drops.

    Garg and Nayar 2007, "Vision and rain": a streak is the background of the time in which the drop is not
    there, and the drop's own light of the time in which it is.

    Args:
        clip_cthw: uint8 0..255 or float 0..1.
        drops: on the CPU.
    """
    light = _LIGHT * top_of(clip_cthw)
    frames, height, width = clip_cthw.shape[1:]
    cover_thw = streaks(drops, frames, height, width).to(clip_cthw.device, non_blocking=True)

    def paint(frames_tchw: Tensor, rows: slice) -> Tensor:
        cover = cover_thw[rows].view(-1, 1, 1, height, width)
        return frames_tchw.add_(cover * (light - frames_tchw))

    return in_one_pass(clip_cthw.transpose(0, 1).unsqueeze(2), paint).squeeze(2).transpose(0, 1)


@dataclass(frozen=True, kw_only=True)
class Rain(Degradation[Drops]):
    """See `random_rain`."""

    drops: tuple[float, float]
    speed: tuple[float, float]
    angle: tuple[float, float]
    length: tuple[float, float]
    opacity: tuple[float, float]

    def draw(self, clip_bcthw: Tensor, generator: Generator) -> Sequence[Drops]:
        """Drops for each sample."""
        count, (height, width) = len(clip_bcthw), clip_bcthw.shape[-2:]
        ranges = (self.drops, self.speed, self.angle, self.length, self.opacity)
        drawn = zip(*(uniform(count, low, high, generator) for low, high in ranges), strict=True)
        return [self._drops(height, width, generator, *sample) for sample in drawn]

    @staticmethod
    def _drops(
        height: int, width: int, generator: Generator, per_10000: float, speed: float, angle: float, length: float,
        opacity: float,
    ) -> Drops:  # fmt: skip
        number = round(per_10000 * height * width / 10_000)
        start_n2 = torch.rand(number, 2, generator=generator) * torch.tensor([height, width])
        near_n = _FARTHEST + (1 - _FARTHEST) * torch.rand(number, generator=generator)
        return Drops(start_n2, near_n, speed, angle, length, opacity)

    def degrade(self, clip_cthw: Tensor, drawn: Drops) -> Tensor:
        """The clip in the rain."""
        return rain(clip_cthw, drawn)


def random_rain(
    *,
    drops: tuple[Pixels, Pixels] = (20.0, 80.0),
    speed: tuple[Pixels, Pixels] = (8.0, 24.0),
    angle: tuple[Degrees, Degrees] = (-20.0, 20.0),
    length: tuple[Pixels, Pixels] = (6.0, 20.0),
    opacity: tuple[Part, Part] = (0.3, 0.7),
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
) -> Augment:
    """Let rain fall before clips: streaks that move on from frame to frame; target clips stay dry.

    Each parameter is uniform between its least and greatest value. Drops that are farther away are slower, shorter and
    fainter.

    Args:
        drops: how many in 100x100 pixels.
        speed: of the nearest drops, in pixels a frame.
        angle: of the fall, in degrees from straight down to the right.
        length: of the nearest streaks, in pixels.
        opacity: of the nearest streaks.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    pairs = {"drops": drops, "speed": speed, "angle": angle, "length": length, "opacity": opacity}
    for name, pair in pairs.items():
        in_order(name, *pair)
    return Rain(drops=drops, speed=speed, angle=angle, length=length, opacity=opacity, p=p)
