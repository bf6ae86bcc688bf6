"""How the parts of a batch that live in the picture move together: clip, target clip, boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from zoo_registry.protocols import Batch

CLIP = "clip_bcthw"
BOXES = "boxes_n4"


@dataclass(frozen=True)
class Window:
    """A part of the picture, in pixels of the input clip."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, clip_cthw: Tensor, scale: Fraction) -> Tensor:
        """The window of one clip; `scale` is how many pixels it has for each of the input clip."""
        top, left = round(self.top * scale), round(self.left * scale)
        height, width = round(self.height * scale), round(self.width * scale)
        return clip_cthw[..., top : top + height, left : left + width]

    def move_boxes(self, boxes_n4: Tensor, size: tuple[int, int]) -> Tensor:
        """Boxes as seen in the window, resized to `size` (height, width) and clipped to it.

        A box outside the window is left with no area; dropping it would part it from its label.
        """
        y_scale, x_scale = size[0] / self.height, size[1] / self.width
        x_n2 = ((boxes_n4[:, 0::2] - self.left) * x_scale).clamp(0, size[1])
        y_n2 = ((boxes_n4[:, 1::2] - self.top) * y_scale).clamp(0, size[0])
        return torch.stack([x_n2, y_n2], dim=-1).flatten(1)


def move(
    batch: Batch,
    clip: Callable[[Tensor, Fraction], Tensor],
    boxes: Callable[[int, Tensor], Tensor],
) -> Batch:
    """A new batch in which everything that lives in the picture was moved alike.

    Args:
        batch: left as it is.
        clip: called with each clip (B, C, T, H, W) and its scale: how many pixels it has for each of the input clip.
        boxes: called with the sample's row and its boxes (n, 4).
    """
    source = batch.inputs[CLIP]
    inputs = {**batch.inputs, CLIP: clip(source, Fraction(1))}
    targets = dict(batch.targets)
    if CLIP in targets:
        targets[CLIP] = clip(targets[CLIP], Fraction(targets[CLIP].shape[-1], source.shape[-1]))
    if BOXES in targets:
        targets[BOXES] = [boxes(row, boxes_n4) for row, boxes_n4 in enumerate(targets[BOXES])]
    return replace(batch, inputs=inputs, targets=targets)


def crop(
    batch: Batch, windows: Sequence[Window], size: tuple[int, int], resize: Callable[[Tensor, tuple[int, int]], Tensor]
) -> Batch:
    """One window a sample, each brought to `size` (height, width).

    Args:
        batch: left as it is.
        windows: one a sample, in pixels of the input clip.
        size: of the input clip afterwards; a target clip keeps its scale to it.
        resize: called with a window (C, T, h, w) and its (height, width) afterwards.
    """

    def cut(clip_bcthw: Tensor, scale: Fraction) -> Tensor:
        scaled = (round(size[0] * scale), round(size[1] * scale))
        pieces = [resize(window.cut(clip, scale), scaled) for window, clip in zip(windows, clip_bcthw, strict=True)]
        return torch.stack(pieces)

    return move(batch, cut, lambda row, boxes_n4: windows[row].move_boxes(boxes_n4, size))
