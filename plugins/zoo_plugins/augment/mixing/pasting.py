"""Clips with a part of another clip in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from zoo_plugins.augment.geometry import CLIP, Scale, move
from zoo_plugins.augment.mixing.blend import blended
from zoo_plugins.augment.mixing.cuboid import Cuboid
from zoo_plugins.augment.mixing.pairs import Pairs, refuse_boxes
from zoo_plugins.augment.mixing.soft_targets import mixed_targets
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch

Paste = Callable[[Tensor, Scale], Tensor]
"""Called with clips (B, C, T, H, W) and their scale."""


def exchanged(
    batch: Batch,
    partners: tuple[int, ...],
    cuboids: Sequence[Cuboid],
    classes: int | None,
    name: str,
    *,
    whole_frames: bool = False,
) -> Batch:
    """The batch with a part of each clip taken from its partner's.

    Target clips and masks follow at their own scale. Labels, and sound, are mixed by the exact share of pixels that
    are still the sample's own.

    Args:
        batch: left as it is.
        partners: a row of the batch for each sample.
        cuboids: what is taken, for each sample.
        classes: number of classes, as of `mixed_targets`.
        name: of the augmentation, for messages.
        whole_frames: the cuboids have all pixels of their frames.
    """
    frames, height, width = batch.inputs[CLIP].shape[2:]
    left = [1 - cuboid.volume / (frames * height * width) for cuboid in cuboids]
    pairs = Pairs(partners, torch.tensor(left, dtype=torch.float64))
    share_bt = torch.stack([cuboid.left_of_frames(frames, height * width) for cuboid in cuboids])
    if whole_frames:
        share_bt = share_bt == 1

    def paste(clip_bcthw: Tensor, scale: Scale) -> Tensor:
        pasted, time = clip_bcthw.clone(), Fraction(clip_bcthw.shape[2], frames)
        for row, (partner, cuboid) in enumerate(zip(partners, cuboids, strict=True)):
            if cuboid.volume:
                part = cuboid.of(scale, time)
                pasted[row][part] = clip_bcthw[partner][part]
        return pasted

    return put_together(batch, pairs, share_bt, paste, classes, name)


def put_together(batch: Batch, pairs: Pairs, share_bt: Tensor, paste: Paste, classes: int | None, name: str) -> Batch:
    """The batch with its pictures pasted by `paste`, and all else mixed by the shares of samples and of frames."""
    targets = mixed_targets(batch, pairs, classes, name, share_bt)
    others = {key: blended(values, pairs) for key, values in batch.inputs.items() if key != CLIP}
    moved = move(replace(batch, targets=targets), paste, lambda row, boxes_n4: boxes_n4)
    # In the order of the inputs as they were.
    return replace(moved, inputs={key: others.get(key, moved.inputs[key]) for key in batch.inputs})


def check(batch: Batch, name: str) -> None:
    """See that there are clips to paste, and no boxes."""
    refuse_boxes(batch, name)
    if CLIP not in batch.inputs:
        raise ParameterError(
            f"{name} pastes parts of clips, and this model takes {', '.join(batch.inputs)}",
            hint="mixup mixes sound too",
        )
