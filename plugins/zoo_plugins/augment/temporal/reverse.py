"""Films played backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.temporal.frame_order import chosen, take_frames
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class Reverse:
    """See `reverse`."""

    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with some clips backwards."""
        count, frames = batch.inputs[CLIP].shape[0], batch.inputs[CLIP].shape[2]
        order_t = torch.arange(frames)
        return take_frames(batch, torch.where(chosen(count, self.p, generator), order_t.flip(0), order_t))


def reverse(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Play samples backwards. Not for labels that know a beginning from an end, such as opening and closing.

    Target clips and masks move along, sound stays.

    Args:
        p: probability for each sample.
    """
    return Reverse(p)
