"""A window of random area and shape, resized."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometric.stage import Stage, windows
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import Ratio, in_order
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Augment

_ATTEMPTS = 10  # as torchvision: so many draws for a window that fits into the picture, then the middle is taken

Part = Annotated[float, Range(gt=0, le=1)]
Corners = tuple[int, int, int, int]
"""Top, left, height and width of a window in pixels."""


@dataclass(frozen=True)
class RandomResizedCrop:
    """See `random_resized_crop`."""

    size: tuple[int, int]
    scale: tuple[float, float]
    ratio: tuple[float, float]

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """Every sample cut to a window of its own and resized."""
        return windows(draw_windows(count, height_width, self.scale, self.ratio, generator), self.size)


def draw_windows(
    count: int,
    height_width: tuple[int, int],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: Generator,
) -> list[Corners]:
    """Windows (top, left, height, width) as torchvision's RandomResizedCrop draws them.

    The area is uniform, and so is the logarithm of width / height.
    """
    height, width = height_width
    draws = torch.rand(4, count, _ATTEMPTS, generator=generator, dtype=torch.float64)
    area = height * width * torch.lerp(draws.new_tensor(scale[0]), draws.new_tensor(scale[1]), draws[0])
    shape = torch.exp(torch.lerp(draws.new_tensor(math.log(ratio[0])), draws.new_tensor(math.log(ratio[1])), draws[1]))
    heights, widths = (area / shape).sqrt().round(), (area * shape).sqrt().round()
    tops, lefts = draws[2] * (height - heights + 1), draws[3] * (width - widths + 1)
    attempts_bn4 = torch.stack([tops, lefts, heights, widths], dim=-1).long().tolist()
    return [_first_that_fits(attempts, height_width, ratio) for attempts in attempts_bn4]


def _first_that_fits(attempts: list[list[int]], height_width: tuple[int, int], ratio: tuple[float, float]) -> Corners:
    for top, left, height, width in attempts:
        if 0 < height <= height_width[0] and 0 < width <= height_width[1]:
            return top, left, height, width
    height = min(height_width[0], round(height_width[1] / ratio[0]))
    width = min(height_width[1], round(height_width[0] * ratio[1]))
    return (height_width[0] - height) // 2, (height_width[1] - width) // 2, height, width


def random_resized_crop(
    *, clip: Provided[ClipSpec], scale: tuple[Part, Part] = (0.08, 1.0), ratio: tuple[Ratio, Ratio] = (3 / 4, 4 / 3)
) -> Augment:
    """Cut a window of random area and shape and resize it to the clip's size, the same for every frame.

    A target clip is cut at the same place and keeps its scale to the input; boxes are moved and clipped.

    Args:
        clip: the clip spec in force; its size is what comes out.
        scale: least and greatest part of the area.
        ratio: least and greatest width / height.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    in_order("scale", *scale)
    in_order("ratio", *ratio)
    return Warp((RandomResizedCrop(clip.height_width, scale, ratio),), "bilinear")
