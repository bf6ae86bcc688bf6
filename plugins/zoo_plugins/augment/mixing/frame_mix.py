"""Frames of another clip among those of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.mixing.pairs import Per, draw_pairs
from zoo_plugins.augment.mixing.pasting import check, put_together
from zoo_registry import Provided, Range
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
        device = batch.inputs[CLIP].device
        taken, partner_b = taken_bt.to(device, non_blocking=True)[:, None, :, None, None], pairs.partner_b(device)

        def paste(clip_bcthw: Tensor, scale: Fraction) -> Tensor:
            return torch.where(taken, clip_bcthw.index_select(0, partner_b), clip_bcthw)

        return put_together(batch, pairs, paste, self.num_classes, "frame_mix")


def frame_mix(
    *,
    num_classes: Provided[int | None] = None,
    alpha: Annotated[float, Range(gt=0)] = 1.0,
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
