"""Films that stutter."""

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
class FrameRepeat:
    """See `frame_repeat`."""

    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with some frames shown again and all that follow later."""
        count, frames = batch.inputs[CLIP].shape[0], batch.inputs[CLIP].shape[2]
        repeated_bt = torch.rand(count, frames, generator=generator) < self.p
        repeated_bt[:, 0] = False  # there is nothing before the first that could be shown again
        return take_frames(batch, torch.arange(frames) - repeated_bt.cumsum(dim=1))


def frame_repeat(*, p: Annotated[float, Range(ge=0, le=1)] = 0.1) -> Augment:
    """Let clips stutter: a frame is shown again, and everything after it comes a frame later.

    The length stays, so the last frames fall off. Target clips and masks move along, sound stays.

    Args:
        p: probability, at each place after the first, that the frame before is shown again.
    """
    return FrameRepeat(p)
