"""One operation of any strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometric.stage import Border, Interpolation
from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.policy.operations import Choice, apply_to_batch
from zoo_plugins.augment.policy.space import TRIVIAL_AUGMENT, choose
from zoo_plugins.augment.ranges import Fill, MaskFill
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class TrivialAugment:
    """See `trivial_augment`."""

    num_magnitude_bins: int
    interpolation: Interpolation
    border: Border

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with every sample changed by an operation of its own."""
        height, width = batch.inputs[CLIP].shape[-2:]
        choices = self.draw(len(batch.inputs[CLIP]), (height, width), generator)
        return apply_to_batch(batch, choices, self.interpolation, self.border)

    def draw(self, count: int, height_width: tuple[int, int], generator: Generator) -> list[Choice]:
        """What happens to each of `count` samples."""
        bins = self.num_magnitude_bins
        draws_b3 = torch.rand(count, 3, generator=generator, dtype=torch.float64).tolist()
        return [
            choose(TRIVIAL_AUGMENT, (part, int(level * bins), sign <= 0.5), bins, height_width)
            for part, level, sign in draws_b3
        ]


def trivial_augment(
    *,
    num_magnitude_bins: Annotated[int, Range(ge=2)] = 31,
    interpolation: Interpolation = "nearest",
    fill: Fill = 0.0,
    mask_fill: MaskFill = 0,
) -> Augment:
    """Change every sample by one operation of a strength drawn from a wide range; the same for every frame.

    Operations, bins and strengths are those of torchvision's `TrivialAugmentWide`. Boxes, masks and target clips follow
    what moves the picture.

    Args:
        num_magnitude_bins: how many strengths there are from the weakest to the strongest.
        interpolation: where pixels are moved, nearest or bilinear.
        fill: what is seen outside of a moved picture, 0..255, one value or one a channel.
        mask_fill: the class that masks get there.
    """
    return TrivialAugment(num_magnitude_bins, interpolation, Border("constant", fill, mask_fill))
