"""A shorter piece of the clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.temporal.frame_order import take_frames
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class TemporalCrop:
    """See `temporal_crop`."""

    frames: int
    loop: bool

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with every clip cut to a piece of its own."""
        count, frames = batch.inputs[CLIP].shape[0], batch.inputs[CLIP].shape[2]
        if self.frames > frames:
            raise ParameterError(
                f"temporal_crop cannot cut {self.frames} frames from clips of {frames}",
                hint=f"set data.clip.frames to at least {self.frames}, or frames to at most {frames}",
            )
        draws = torch.rand(count, 1, generator=generator, dtype=torch.float64)
        start_b1 = (draws * (frames - self.frames + 1)).long()
        piece_t = torch.arange(frames) % self.frames if self.loop else torch.arange(self.frames)
        return take_frames(batch, start_b1 + piece_t)


def temporal_crop(*, frames: Annotated[int, Range(ge=1)], loop: bool = True) -> Augment:
    """Keep some consecutive frames of each clip, from a random one on.

    Models mostly want one length, so by default the piece is repeated until the clip is as long as before. Target
    clips and masks move along, sound stays.

    Args:
        frames: length of the piece, the same for all samples.
        loop: repeat the piece up to the old length; False hands shorter clips to the model, which must take them.

    Raises:
        ParameterError: when used on clips that are shorter than the piece.
    """
    return TemporalCrop(frames, loop)
