"""A rectangle of another sample in each."""

from __future__ import annotations

from typing import Annotated

from zoo_plugins.augment.mixing.pairs import Per
from zoo_plugins.augment.mixing.video_mix import VideoMix
from zoo_plugins.augment.ranges import Alpha
from zoo_registry import Provided, Range
from zoo_registry.protocols import Augment


def cutmix(
    *,
    num_classes: Provided[int | None] = None,
    alpha: Alpha = 1.0,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
    per: Per = "sample",
) -> Augment:
    """Put a rectangle of another sample of the batch into each, the same in every frame (Yun et al. 2019, "CutMix").

    With share from Beta(alpha, alpha), the sides are sqrt(1 - share) of the picture's and the centre is uniform, as in
    torchvision; what lies outside is cut off. Labels are mixed by the exact share of pixels that are left, as `mixup`
    mixes them, and so is sound. Target clips and masks get the same rectangle.

    Args:
        num_classes: K, from the run.
        alpha: of the beta distribution.
        p: probability that something is mixed.
        per: `sample` draws a rectangle for every sample; `batch` one share for all, and a place for every sample.

    Raises:
        ParameterError: when used on samples with boxes, without clips, or on class indices without a number of classes.
    """
    return VideoMix("cutmix", "space", alpha, p, per, num_classes)
