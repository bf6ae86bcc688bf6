"""Mixup for some batches, CutMix for the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.mixing.mixup import Mixup
from zoo_plugins.augment.mixing.pairs import Per
from zoo_plugins.augment.mixing.pasting import check
from zoo_plugins.augment.mixing.video_mix import VideoMix
from zoo_plugins.augment.ranges import Alpha
from zoo_registry import Provided, Range
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class MixupCutmix:
    """See `mixup_cutmix`."""

    mixup: Mixup
    cutmix: VideoMix
    switch_prob: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch mixed in one of the two ways."""
        # Both say at the first batch what they cannot mix, not at the first that happens to be theirs.
        self.mixup.check(batch)
        check(batch, self.cutmix.name)
        is_cutmix = bool(torch.rand((), generator=generator) < self.switch_prob)
        return self.cutmix(batch, generator) if is_cutmix else self.mixup(batch, generator)


def mixup_cutmix(
    *,
    num_classes: Provided[int | None] = None,
    mixup_alpha: Alpha = 0.8,
    cutmix_alpha: Alpha = 1.0,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
    switch_prob: Annotated[float, Range(ge=0, le=1)] = 0.5,
    per: Per = "batch",
) -> Augment:
    """Mix each batch by `mixup` or by `cutmix`, drawn anew for every batch: what timm's `Mixup` does in mode `batch`.

    The names and meanings are timm's, `p` is its `prob`; the alphas are those of DeiT (Touvron et al. 2021, table 9).
    Two things differ: partners are a random permutation of the batch, where timm turns the batch round; and labels are
    smoothed by the loss (`cross_entropy` has `label_smoothing`).

    Args:
        num_classes: K, from the run.
        mixup_alpha: of mixup's beta distribution.
        cutmix_alpha: of CutMix's.
        p: probability that something is mixed.
        switch_prob: probability of CutMix for a batch that is mixed; else it is mixup.
        per: `batch` draws one share, and one decision by `p`, for all samples; `sample` one for each. Which of the two
            ways it is stays one decision a batch.

    Raises:
        ParameterError: when used on samples with boxes or masks, without clips, or on class indices without a number of
            classes.
    """
    mixup = Mixup(mixup_alpha, p, per, num_classes, "mixup_cutmix")
    return MixupCutmix(mixup, VideoMix("mixup_cutmix", "space", cutmix_alpha, p, per, num_classes), switch_prob)
