"""A window as a picture of random size shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometric.stage import Stage, windows
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import in_order
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment


@dataclass(frozen=True)
class ShortSideScale:
    """See `short_side_scale`."""

    size: tuple[int, int]
    min_size: int
    max_size: int

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """Every sample cut to a window of its own and resized."""
        draws_3b = torch.rand(3, count, generator=generator, dtype=torch.float64)
        short_side_b = self.min_size + draws_3b[0] * (self.max_size - self.min_size)
        sides = []
        for wanted, there, draws_b in zip(self.size, height_width, draws_3b[1:], strict=True):
            side_b = (wanted * min(height_width) / short_side_b).round().clamp(1, there)
            sides.append((((there - side_b + 1) * draws_b).floor(), side_b))
        (top_b, height_b), (left_b, width_b) = sides
        return windows(torch.stack([top_b, left_b, height_b, width_b], 1).long().tolist(), self.size)


def short_side_scale(
    *,
    clip: Provided[ClipSpec],
    min_size: Annotated[int, Range(ge=1)] = 256,
    max_size: Annotated[int, Range(ge=1)] = 320,
) -> Augment:
    """Scale clips so that the short side has a random length, and cut a window of the clip's size at a random place.

    A batch is one tensor, so the crop that always follows the scaling is part of it, and both are one resampling: the
    window is cut in whole pixels of the canvas and resized. The short side is uniform in [min_size, max_size].

    Args:
        clip: the clip spec in force; its size is what comes out.
        min_size: least length of the short side in pixels.
        max_size: greatest.

    Raises:
        ParameterError: sizes in the wrong order, or smaller than the clip.
    """
    in_order("sizes", min_size, max_size)
    if min_size < max(clip.height_width):
        height, width = clip.height_width
        raise ParameterError(
            f"min_size is {min_size}: no window of {height}x{width} can be cut from that",
            hint=f"write min_size: {max(height, width)} or more, or a smaller data.clip.size",
        )
    return Warp((ShortSideScale(clip.height_width, min_size, max_size),), "bilinear")
