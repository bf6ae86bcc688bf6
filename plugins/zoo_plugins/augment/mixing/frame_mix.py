"""Frames of another clip among those of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP, Scale
from zoo_plugins.augment.mixing.pairs import Per, draw_pairs
from zoo_plugins.augment.mixing.pasting import check, put_together
from zoo_plugins.augment.ranges import Alpha
from zoo_registry import Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class FrameMix:
    """See `frame_mix`."""

    alpha: float
    p: float
    per: Per
    num_classes: int | None

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with some frames of another clip in each."""
        check(batch, "frame_mix")
        frames = batch.inputs[CLIP].shape[2]
        pairs = draw_pairs(len(batch), self.alpha, self.p, self.per, generator)
        order_bt = torch.rand(len(batch), frames, generator=generator).argsort(dim=1)
        taken_bt = order_bt < ((1 - pairs.share_b) * frames).round().unsqueeze(1)
        pairs = replace(pairs, share_b=1 - taken_bt.double().mean(dim=1))
        sample_bt = torch.where(taken_bt, torch.tensor(pairs.partners)[:, None], torch.arange(len(batch))[:, None])

        def paste(clip_bcthw: Tensor, scale: Scale) -> Tensor:
            return frames_of(clip_bcthw, sample_bt)

        return put_together(batch, pairs, ~taken_bt, paste, self.num_classes, "frame_mix")


def frames_of(clip_bcthw: Tensor, sample_bt: Tensor) -> Tensor:
    """Clips whose frame t is that of the sample `sample_bt[b, t]`, (B, T) int64 on the CPU."""
    channels, frames = clip_bcthw.shape[1:3]
    if frames != sample_bt.shape[1]:
        raise ParameterError(
            f"frame_mix cannot mix target clips of {frames} frames like clips of {sample_bt.shape[1]}",
            hint="video_mix mixes clips of any length",
        )
    # Frames as rows of one long table, so that one copy of whole rows does it: 5 times as fast as `where` on a CPU.
    rows_bct = (sample_bt[:, None] * channels + torch.arange(channels)[:, None]) * frames + torch.arange(frames)
    rows = rows_bct.flatten().to(clip_bcthw.device, non_blocking=True)
    return clip_bcthw.reshape(-1, *clip_bcthw.shape[3:]).index_select(0, rows).view(clip_bcthw.shape)


def frame_mix(
    *,
    num_classes: Provided[int | None] = None,
    alpha: Alpha = 1.0,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
    per: Per = "sample",
) -> Augment:
    """Replace some frames of each clip, at random places, by those of another clip of the batch at the same time.

    The share of frames that are left is from Beta(alpha, alpha), rounded to whole frames. Labels are mixed by it, as
    `mixup` mixes them, and so is sound. Target clips and masks get the same frames. Frames in a row are `video_mix` in
    `time`.

    Args:
        num_classes: K, from the run.
        alpha: of the beta distribution.
        p: probability that something is mixed.
        per: `sample` draws a share for every sample, `batch` one for all; the frames are each sample's own.

    Raises:
        ParameterError: when used on samples with boxes, without clips, or on class indices without a number of classes.
    """
    return FrameMix(alpha, p, per, num_classes)
