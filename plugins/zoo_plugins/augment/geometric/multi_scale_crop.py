"""A window of one of several sizes, resized."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometric.stage import Stage, windows
from zoo_plugins.augment.geometric.warp import Warp
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Augment

Part = Annotated[float, Range(gt=0, le=1)]

# Quarters of the room to move, down and across: corners and middle, sides, and halfway between middle and corners.
_PLACES = (
    (0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)
)  # fmt: skip


@dataclass(frozen=True)
class MultiScaleCrop:
    """See `multi_scale_crop`."""

    size: tuple[int, int]
    scales: tuple[float, ...]
    max_distort: int
    fixed_places: bool

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """Every sample cut to a window of its own and resized."""
        numbers = enumerate(self.scales)
        pairs = [(a, b) for (i, a), (j, b) in product([*numbers], repeat=2) if abs(i - j) <= self.max_distort]
        draws_b3 = torch.rand(count, 3, generator=generator, dtype=torch.float64).tolist()
        return windows([self._window(*draws, pairs, height_width) for draws in draws_b3], self.size)

    def _window(
        self, sides: float, down: float, across: float, pairs: list[tuple[float, float]], height_width: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """Top, left, height and width from three draws in 0..1."""
        short = min(height_width)
        height, width = (int(short * part) for part in pairs[int(sides * len(pairs))])
        rows, columns = height_width[0] - height, height_width[1] - width
        if not self.fixed_places:
            return int(down * (rows + 1)), int(across * (columns + 1)), height, width
        place = _PLACES[int(down * len(_PLACES))]
        return place[0] * (rows // 4), place[1] * (columns // 4), height, width


def multi_scale_crop(
    *,
    clip: Provided[ClipSpec],
    scales: Annotated[tuple[Part, ...], Range(ge=1)] = (1.0, 0.875, 0.75, 0.66),
    max_distort: Annotated[int, Range(ge=0)] = 1,
    fixed_places: bool = True,
) -> Augment:
    """Cut a window of one of several sizes and resize it to the clip's size, the same for every frame.

    Height and width are parts of the short side, chosen from `scales` one by one.

    Args:
        clip: the clip spec in force; its size is what comes out.
        scales: parts of the short side, from the largest down.
        max_distort: how many places apart in `scales` height and width may be; 0 keeps windows square.
        fixed_places: one of 13 places (corners, sides, middle, and halfway to the corners), else anywhere.
    """
    return Warp((MultiScaleCrop(clip.height_width, scales, max_distort, fixed_places),), "bilinear")
