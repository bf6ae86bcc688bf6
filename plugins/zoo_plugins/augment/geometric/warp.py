"""Moves batches as drawn stages say; neighbours in a list of augmentations become one resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Generator, Tensor

from zoo_plugins.augment.geometric.resampling import resample
from zoo_plugins.augment.geometric.stage import Interpolation, Stage, move_boxes, scaled
from zoo_plugins.augment.geometry import CLIP, SAME, Scale, move
from zoo_registry.protocols import Augment, Batch


class Draw(Protocol):
    """What an augmentation of this folder is: how its stage is drawn."""

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """A stage for `count` clips of (height, width)."""
        ...


@dataclass(frozen=True)
class Warp:
    """One or several movements of the picture, done together.

    Attributes:
        draws: in the order in which they move the picture and draw from the generator.
        interpolation: of pixels that are looked up between others; None where none of the draws asks for that.
    """

    draws: tuple[Draw, ...]
    interpolation: Interpolation | None

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with everything that lives in the picture moved."""
        clip_bcthw = batch.inputs[CLIP]
        size: tuple[int, int] = (clip_bcthw.shape[-2], clip_bcthw.shape[-1])
        stages: list[Stage] = []
        for draw in self.draws:
            stages.append(draw(len(clip_bcthw), size, generator))
            size = stages[-1].size
        return moved(batch, stages, self.interpolation or "nearest")

    def fused(self, following: Augment) -> Augment | None:
        """Both movements with one interpolation, where they agree on its kind; see `FusibleAugment`."""
        if not isinstance(following, Warp):
            return None
        if self.interpolation and following.interpolation and self.interpolation != following.interpolation:
            return None
        return Warp(self.draws + following.draws, self.interpolation or following.interpolation)


def moved(batch: Batch, stages: Sequence[Stage], interpolation: Interpolation) -> Batch:
    """The batch after all stages: clip, target clip, masks (never mixed) and boxes."""

    def clip(clip_bcthw: Tensor, scale: Scale) -> Tensor:
        if scale == SAME:
            return resample(clip_bcthw, stages, interpolation)
        return resample(clip_bcthw, scaled(stages, scale), interpolation, exact=0.5)

    def mask(mask_b1thw: Tensor, scale: Scale) -> Tensor:
        if scale == SAME:
            return resample(mask_b1thw, stages, "nearest", is_class=True)
        return resample(mask_b1thw, scaled(stages, scale), "nearest", is_class=True, exact=0.5)

    return move(batch, clip, lambda row, boxes_n4: move_boxes(stages, row, boxes_n4), mask)
