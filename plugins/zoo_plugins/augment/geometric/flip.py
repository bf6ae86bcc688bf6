"""Mirrored along an axis of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator

from zoo_plugins.augment.geometric.stage import Stage, eyes, whole


@dataclass(frozen=True)
class Flip:
    """Some samples mirrored.

    Attributes:
        along: `x` swaps left and right, `y` top and bottom.
        p: probability for each sample.
    """

    along: Literal["x", "y"]
    p: float

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """The samples that are mirrored, drawn."""
        row, side = (0, height_width[1]) if self.along == "x" else (1, height_width[0])
        flipped_b = torch.rand(count, generator=generator) < self.p
        to_input_b33 = eyes(count)
        to_input_b33[flipped_b, row, row], to_input_b33[flipped_b, row, 2] = -1, side
        return Stage(to_input_b33, whole(count, height_width), height_width)
