"""Frames that never arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.temporal.frame_order import take_frames
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class FrameDrop:
    """See `frame_drop`."""

    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with some frames replaced by those before them."""
        count, frames = batch.inputs[CLIP].shape[0], batch.inputs[CLIP].shape[2]
        dropped_bt = torch.rand(count, frames, generator=generator) < self.p
        # A dropped frame counts as the first one until the running maximum makes it the last that was kept.
        kept_bt = torch.where(dropped_bt, 0, torch.arange(frames))
        return take_frames(batch, kept_bt.cummax(dim=1).values)


def frame_drop(*, p: Annotated[float, Range(ge=0, le=1)] = 0.1) -> Augment:
    """Drop frames; the one before is shown instead, as players do when a frame is late. The first is never dropped.

    The length stays, and the frames that are left keep their time. Target clips and masks move along, sound stays.

    Args:
        p: probability for each frame.
    """
    return FrameDrop(p)
