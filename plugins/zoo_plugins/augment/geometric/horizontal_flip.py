"""Left and right swapped."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP, move
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class HorizontalFlip:
    """See `horizontal_flip`."""

    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with some samples mirrored."""
        clip_bcthw = batch.inputs[CLIP]
        width = clip_bcthw.shape[-1]
        drawn_b = torch.rand(len(clip_bcthw), generator=generator) < self.p
        flipped, flipped_b = drawn_b.tolist(), drawn_b.to(clip_bcthw.device, non_blocking=True)

        def mirror(clip_bcthw: Tensor, scale: Fraction) -> Tensor:
            return torch.where(flipped_b.view(-1, 1, 1, 1, 1), clip_bcthw.flip(-1), clip_bcthw)

        def mirror_boxes(row: int, boxes_n4: Tensor) -> Tensor:
            if not flipped[row]:
                return boxes_n4
            x1, y1, x2, y2 = boxes_n4.unbind(-1)
            return torch.stack([width - x2, y1, width - x1, y2], dim=-1)

        return move(batch, mirror, mirror_boxes)


def horizontal_flip(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Mirror samples at the vertical axis. Not for labels that know left from right.

    Args:
        p: probability for each sample.
    """
    return HorizontalFlip(p)
