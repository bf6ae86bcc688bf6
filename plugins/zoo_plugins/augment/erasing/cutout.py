"""Squares of one size, erased."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.erasing.filling import Filling, Value, filling
from zoo_plugins.augment.erasing.random_erasing import Box, erase
from zoo_plugins.augment.geometry import CLIP
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class Cutout:
    """See `cutout`."""

    size: float
    holes: int
    p: float
    filling: Filling

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with squares of some samples erased."""
        clip_bcthw = batch.inputs[CLIP]
        height, width = clip_bcthw.shape[-2:]
        side = max(1, round(self.size * min(height, width)))
        count = len(clip_bcthw)
        chosen = (torch.rand(count, generator=generator) < self.p).tolist()
        draws = torch.rand(self.holes, count, 2, generator=generator, dtype=torch.float64)
        centres = (draws * torch.tensor([height, width])).long().tolist()
        for hole in centres if any(chosen) else ():
            boxes = [
                [square(y, x, side, height, width)] if there else [] for (y, x), there in zip(hole, chosen, strict=True)
            ]
            clip_bcthw = erase(clip_bcthw, boxes, self.filling, generator)
        return replace(batch, inputs={**batch.inputs, CLIP: clip_bcthw})


def square(y: int, x: int, side: int, height: int, width: int) -> Box:
    """The part inside the picture of a square around a pixel: top, left, height, width."""
    top, left = y - side // 2, x - side // 2
    bottom, right = min(top + side, height), min(left + side, width)
    top, left = max(top, 0), max(left, 0)
    return top, left, bottom - top, right - left


def cutout(
    *,
    clip: Provided[ClipSpec | None],
    size: Annotated[float, Range(gt=0, le=1)] = 0.5,
    holes: Annotated[int, Range(ge=1, le=64)] = 1,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
    value: Value = 0,
) -> Augment:
    """Erase squares of one size, the same in every frame (DeVries and Taylor 2017).

    Their centres are uniform over the pixels; what lies outside the picture is cut off, so a square may be smaller.
    Target clips, masks and boxes stay as they are.

    Args:
        clip: the clip spec in force, for `mean` and `random`.
        size: side of the square, as a part of the picture's shorter side.
        holes: how many squares; they may overlap.
        p: probability for each sample.
        value: what erased pixels show, as of `random_erasing`.
    """
    return Cutout(size, holes, p, filling(value, clip))
