"""A picture whose every pixel has a class: to see that clips, masks, boxes and target clips move together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo_registry.protocols import Batch

_GREYS = (40, 200, 115)
"""Of the classes of pixels: dark and bright blocks, and one rectangle."""
_RECTANGLE = 2
_BLOCK = 8


def painted(batch: Batch, *, scale: int = 1, is_moving: bool = False) -> Batch:
    """The batch with pictures that are known pixel by pixel, and targets that say so.

    Every clip shows dark and bright blocks, by chance, and before them a grey rectangle. `mask_bthw` has the classes 0,
    1 and 2 for these, `boxes_n4` is around the rectangle, and the target clip is the same picture. Where the batch has
    boxes but for none of its samples, none are added.

    Args:
        batch: says how many clips there are, of which size and type, and what else is known of them.
        scale: how many times as large the target clip is.
        is_moving: the blocks are others in every frame.
    """
    clip_bcthw = batch.inputs["clip_bcthw"]
    count, _, frames, height, width = clip_bcthw.shape
    generator = torch.Generator().manual_seed(5)
    shape = (count, frames if is_moving else 1, -(-height // _BLOCK), -(-width // _BLOCK))
    blocks = torch.randint(0, 2, shape, dtype=torch.uint8, generator=generator)
    blocks = blocks.repeat_interleave(_BLOCK, 2).repeat_interleave(_BLOCK, 3)[..., :height, :width]
    mask_bthw = blocks.expand(-1, frames, -1, -1).clone()
    top, left, bottom, right = height // 4, width // 3, height // 4 + height // 2, width // 3 + width // 3
    mask_bthw[..., top:bottom, left:right] = _RECTANGLE
    greys = torch.tensor(_GREYS, dtype=torch.uint8)[mask_bthw.long()][:, None].expand(-1, 3, -1, -1, -1).contiguous()
    if clip_bcthw.is_floating_point():
        greys = (greys.float() / 255).to(clip_bcthw.dtype)
    box = torch.tensor([[left, top, right, bottom]], dtype=torch.float32)
    targets: dict[str, Any] = {
        **batch.targets,
        "mask_bthw": mask_bthw,
        "clip_bcthw": greys.repeat_interleave(scale, 3).repeat_interleave(scale, 4),
    }
    if any(len(boxes_n4) for boxes_n4 in batch.targets.get("boxes_n4", ())):
        targets["boxes_n4"] = [box.clone() for _ in range(count)]
    return replace(batch, inputs={**batch.inputs, "clip_bcthw": greys}, targets=targets)


def explained(clip_bcthw: Tensor, mask_bthw: Tensor) -> Tensor:
    """Which share of the variance of every frame the classes of its pixels explain: the correlation ratio, 0..1.

    1 where every class has a grey of its own, whatever greys a change made of them; next to 0 where mask and clip show
    different places. A frame of one grey shows nothing that could be elsewhere: 1.

    Returns:
        (B, T) float64.
    """
    values_btn = clip_bcthw.double().mean(1).flatten(2)
    is_class_btkn = mask_bthw.flatten(2).unsqueeze(2) == torch.tensor([0, 1, _RECTANGLE, 255]).view(-1, 1)
    count_btk = is_class_btkn.sum(-1)
    away_btn = values_btn - values_btn.mean(-1, keepdim=True)
    sum_btk = torch.einsum("btkn,btn->btk", is_class_btkn.double(), away_btn)
    between_bt = (sum_btk**2 / count_btk.clamp(min=1)).sum(-1)
    total_bt = (away_btn**2).sum(-1)
    return torch.where(total_bt < 1e-9 * values_btn.shape[-1], 1.0, between_bt / total_bt)


def around_rectangle(mask_thw: Tensor) -> Tensor | None:
    """(4,) x1 y1 x2 y2 of the rectangle in the first frame, None where it is not to be seen."""
    rows, columns = torch.where(mask_thw[0] == _RECTANGLE)
    if not len(rows):
        return None
    return torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=torch.float32)


def overlap(one_4: Tensor, other_4: Tensor) -> float:
    """Intersection over union of two boxes."""
    sides_2 = (torch.minimum(one_4[2:], other_4[2:]) - torch.maximum(one_4[:2], other_4[:2])).clamp(min=0)
    areas = [float((box_4[2:] - box_4[:2]).prod()) for box_4 in (one_4, other_4)]
    shared = float(sides_2.prod())
    return shared / max(sum(areas) - shared, 1e-9)
