"""Top and bottom swapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometric.stage import Stage, eyes, whole
from zoo_plugins.augment.geometric.warp import Warp
from zoo_registry import Range
from zoo_registry.protocols import Augment


@dataclass(frozen=True)
class VerticalFlip:
    """See `vertical_flip`."""

    p: float

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """Some samples upside down."""
        flipped_b = torch.rand(count, generator=generator) < self.p
        to_input_b33 = eyes(count)
        to_input_b33[flipped_b, 1, 1], to_input_b33[flipped_b, 1, 2] = -1, height_width[0]
        return Stage(to_input_b33, whole(count, height_width), height_width)


def vertical_flip(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Mirror samples at the horizontal axis: for views from above, microscopes and the like.

    Args:
        p: probability for each sample.
    """
    return Warp((VerticalFlip(p),), None)
