"""Patches erased through all frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.erasing.filling import Filling, Value, filling
from zoo_plugins.augment.geometry import CLIP
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class TubeMasking:
    """See `tube_masking`."""

    patch: int
    ratio: float
    p: float
    filling: Filling

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with tubes of its own erased in some samples."""
        clip_bcthw = batch.inputs[CLIP]
        height, width = clip_bcthw.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ParameterError(
                f"tube_masking cannot cut frames of {height}x{width} into patches of {self.patch}x{self.patch}",
                hint="crop to the clip's size first (random_crop, random_resized_crop), or choose another patch",
            )
        count = len(clip_bcthw)
        rows, columns = height // self.patch, width // self.patch
        chosen_b11 = torch.rand(count, 1, 1, generator=generator) < self.p
        mask_bhw = draw_patches(count, rows, columns, self.ratio, generator) & chosen_b11
        pixels = self.filling.pixels((count, clip_bcthw.shape[1], 1, height, width), clip_bcthw, generator)
        mask_bhw = mask_bhw.to(clip_bcthw.device, non_blocking=True)
        mask_bhw = mask_bhw.repeat_interleave(self.patch, dim=1).repeat_interleave(self.patch, dim=2)
        masked = torch.where(mask_bhw[:, None, None], pixels, clip_bcthw)
        return replace(batch, inputs={**batch.inputs, CLIP: masked})


def draw_patches(count: int, rows: int, columns: int, ratio: float, generator: Generator) -> Tensor:
    """(B, rows, columns) bool: which patches are masked, `ratio` of them in every sample, to the nearest whole one."""
    order_bn = torch.rand(count, rows * columns, generator=generator).argsort(dim=1)
    return (order_bn < round(ratio * rows * columns)).view(count, rows, columns)


def tube_masking(
    *,
    clip: Provided[ClipSpec | None],
    patch: Annotated[int, Range(ge=1)] = 16,
    ratio: Annotated[float, Range(ge=0, le=1)] = 0.75,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
    value: Value = 0,
) -> Augment:
    """Erase a fixed part of the patches, the same in every frame: the tubes of VideoMAE (Tong et al. 2022, 3.3).

    The place of a tube cannot be guessed from the frames before or after. Target clips, masks and boxes stay: a task
    that should restore the clip has it as a target.

    Args:
        clip: the clip spec in force, for `mean` and `random`.
        patch: side of a patch in pixels; height and width of the clips are multiples of it.
        ratio: part of the patches that is erased; VideoMAE takes 0.9 to train without labels.
        p: probability for each sample.
        value: what erased pixels show, as of `random_erasing`.

    Raises:
        ParameterError: when used on clips whose size is no multiple of the patch.
    """
    return TubeMasking(patch, ratio, p, filling(value, clip))
