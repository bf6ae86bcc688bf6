"""Which parts of a batch live in the picture and have to move together: clip, target clip, masks, boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from torch import Tensor

from zoo_registry.protocols import Batch

CLIP = "clip_bcthw"
BOXES = "boxes_n4"
MASK = "mask_bthw"

Scale = tuple[Fraction, Fraction]
"""How many pixels a clip has for each of the input clip, down and across: half of 5 rows may be 2 or 3."""

SAME: Scale = (Fraction(1), Fraction(1))


def move(
    batch: Batch,
    clip: Callable[[Tensor, Scale], Tensor],
    boxes: Callable[[int, Tensor], Tensor],
    mask: Callable[[Tensor, Scale], Tensor] | None = None,
) -> Batch:
    """A new batch in which everything that lives in the picture was moved alike.

    Args:
        batch: left as it is.
        clip: called with each clip (B, C, T, H, W) and its scale.
        boxes: called with the sample's row and its boxes (n, 4).
        mask: called with masks as clips of one channel (B, 1, T, H, W) and their scale; None does to them what is done
            to clips, which is right where no pixels are mixed.
    """
    source = batch.inputs[CLIP]
    inputs = {**batch.inputs, CLIP: clip(source, SAME)}
    targets = dict(batch.targets)
    if CLIP in targets:
        targets[CLIP] = clip(targets[CLIP], _scale(targets[CLIP], source))
    if MASK in targets:
        scale = _scale(targets[MASK], source)
        targets[MASK] = (mask or clip)(targets[MASK].unsqueeze(1), scale).squeeze(1)
    if BOXES in targets:
        targets[BOXES] = [boxes(row, boxes_n4) for row, boxes_n4 in enumerate(targets[BOXES])]
    return replace(batch, inputs=inputs, targets=targets)


def _scale(pixels: Tensor, source: Tensor) -> Scale:
    """The scale of a clip or mask (..., H, W) beside the input clip."""
    return Fraction(pixels.shape[-2], source.shape[-2]), Fraction(pixels.shape[-1], source.shape[-1])
