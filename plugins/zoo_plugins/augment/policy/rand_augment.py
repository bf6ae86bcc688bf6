"""Operations chosen by chance, all of one strength."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.arithmetic import widened
from zoo_plugins.augment.geometric.stage import Border, Interpolation
from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.policy.operations import Choice, apply_to_batch
from zoo_plugins.augment.policy.space import RAND_AUGMENT, choose
from zoo_plugins.augment.ranges import Fill, MaskFill
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class RandAugment:
    """See `rand_augment`."""

    num_ops: int
    magnitude: int
    num_magnitude_bins: int
    interpolation: Interpolation
    border: Border

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with every sample changed by operations of its own."""
        clip_bcthw = batch.inputs[CLIP]
        height, width = clip_bcthw.shape[-2:]
        batch = replace(batch, inputs={**batch.inputs, CLIP: widened(clip_bcthw)})
        for choices in self.draw(len(clip_bcthw), (height, width), generator):
            batch = apply_to_batch(batch, choices, self.interpolation, self.border)
        return replace(batch, inputs={**batch.inputs, CLIP: batch.inputs[CLIP].to(clip_bcthw.dtype)})

    def draw(self, count: int, height_width: tuple[int, int], generator: Generator) -> list[list[Choice]]:
        """For each round, what happens to each of `count` samples."""
        draws_rb2 = torch.rand(self.num_ops, count, 2, generator=generator, dtype=torch.float64).tolist()
        return [
            [
                choose(RAND_AUGMENT, (part, self.magnitude, sign <= 0.5), self.num_magnitude_bins, height_width)
                for part, sign in draws_b2
            ]
            for draws_b2 in draws_rb2
        ]


def rand_augment(
    *,
    num_ops: Annotated[int, Range(ge=0)] = 2,
    magnitude: Annotated[int, Range(ge=0)] = 9,
    num_magnitude_bins: Annotated[int, Range(ge=2)] = 31,
    interpolation: Interpolation = "nearest",
    fill: Fill = 0.0,
    mask_fill: MaskFill = 0,
) -> Augment:
    """Change every sample by a few operations chosen by chance, all of one strength; the same for every frame.

    Operations, bins and strengths are torchvision's. Boxes, masks and target clips follow what moves the picture.

    Args:
        num_ops: operations for each sample, one after the other.
        magnitude: strength, the number of a bin.
        num_magnitude_bins: how many bins there are from the weakest to the strongest.
        interpolation: where pixels are moved, nearest or bilinear.
        fill: what is seen outside of a moved picture, 0..255, one value or one a channel.
        mask_fill: the class that masks get there.

    Raises:
        ParameterError: a magnitude that is no bin.
    """
    if magnitude >= num_magnitude_bins:
        raise ParameterError(
            f"magnitude is {magnitude} of {num_magnitude_bins} bins, which are 0 to {num_magnitude_bins - 1}",
            hint=f"write magnitude: {num_magnitude_bins - 1} or less, or more num_magnitude_bins",
        )
    return RandAugment(num_ops, magnitude, num_magnitude_bins, interpolation, Border("constant", fill, mask_fill))
