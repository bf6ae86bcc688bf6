"""Left and right swapped."""

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
class HorizontalFlip:
    """See `horizontal_flip`."""

    p: float

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """Some samples mirrored."""
        flipped_b = torch.rand(count, generator=generator) < self.p
        to_input_b33 = eyes(count)
        to_input_b33[flipped_b, 0, 0], to_input_b33[flipped_b, 0, 2] = -1, height_width[1]
        return Stage(to_input_b33, whole(count, height_width), height_width)


def horizontal_flip(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Mirror samples at the vertical axis. Not for labels that know left from right.

    Args:
        p: probability for each sample.
    """
    return Warp((HorizontalFlip(p),), None)
