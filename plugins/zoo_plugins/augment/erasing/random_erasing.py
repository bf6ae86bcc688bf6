"""A rectangle of random area and shape, erased."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.erasing.filling import Filling, Value, filling
from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.ranges import Ratio, in_order
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Augment, Batch

_ATTEMPTS = 10  # as torchvision: so many draws for a rectangle that fits into the picture, then nothing is erased

Part = Annotated[float, Range(gt=0, le=1)]
Box = tuple[int, int, int, int]
"""Top, left, height, width in pixels."""


@dataclass(frozen=True)
class RandomErasing:
    """See `random_erasing`."""

    p: float
    scale: tuple[float, float]
    ratio: tuple[float, float]
    filling: Filling
    per_frame: bool

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with a rectangle of its own erased in some samples."""
        clip_bcthw = batch.inputs[CLIP]
        count, _, frames, height, width = clip_bcthw.shape
        erased = (torch.rand(count, generator=generator) < self.p).tolist()
        each = frames if self.per_frame else 1
        boxes = iter(draw_boxes(count * each, (height, width), self.scale, self.ratio, generator))
        drawn = [[next(boxes) for _ in range(each)] for _ in range(count)]
        if any(erased):
            chosen = [row if there else [] for row, there in zip(drawn, erased, strict=True)]
            clip_bcthw = erase(clip_bcthw, chosen, self.filling, generator)
        return replace(batch, inputs={**batch.inputs, CLIP: clip_bcthw})


def draw_boxes(
    count: int,
    height_width: tuple[int, int],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: Generator,
) -> list[Box | None]:
    """Boxes drawn as torchvision's RandomErasing does; None for one that did not fit in ten attempts.

    Args:
        count: how many.
        height_width: of the picture in pixels.
        scale: least and greatest part of its area, drawn uniformly.
        ratio: least and greatest height / width, the logarithm drawn uniformly.
        generator: on the CPU.
    """
    height, width = height_width
    draws = torch.rand(4, count, _ATTEMPTS, generator=generator, dtype=torch.float64)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = torch.exp(low + (high - low) * draws[1])
    heights, widths = (area * shape).sqrt().round(), (area / shape).sqrt().round()
    tops, lefts = draws[2] * (height - heights + 1), draws[3] * (width - widths + 1)
    attempts_bn4 = torch.stack([tops, lefts, heights, widths], dim=-1).long().tolist()
    return [next((tuple(box) for box in row if box[2] < height and box[3] < width), None) for row in attempts_bn4]


def erase(clip_bcthw: Tensor, boxes: Sequence[Sequence[Box | None]], filling: Filling, generator: Generator) -> Tensor:
    """Write over boxes of some samples.

    Args:
        clip_bcthw: left as it is.
        boxes: for each sample none, one for all its frames, or one a frame.
        filling: what to write.
        generator: of its noise.
    """
    erased_bcthw = clip_bcthw.clone()
    for clip_cthw, row in zip(erased_bcthw, boxes, strict=True):
        for frame, box in enumerate(row):
            if box is None:
                continue
            top, left, height, width = box
            frames = slice(None) if len(row) == 1 else slice(frame, frame + 1)
            shape = (clip_cthw.shape[0], 1, height, width)
            pixels = filling.pixels(shape, clip_cthw, generator)
            clip_cthw[:, frames, top : top + height, left : left + width] = pixels
    return erased_bcthw


def random_erasing(
    *,
    clip: Provided[ClipSpec | None],
    p: Annotated[float, Range(ge=0, le=1)] = 0.5,
    scale: tuple[Part, Part] = (0.02, 0.33),
    ratio: tuple[Ratio, Ratio] = (0.3, 3.3),
    value: Value = 0,
    per_frame: bool = False,
) -> Augment:
    """Erase a rectangle of random area, shape and place, the same in every frame (Zhong et al. 2020).

    Parameters and distribution are torchvision's. There, erasing follows the normalisation; here it comes before, so
    its 0 is `mean` here and its `random` has the same meaning. Target clips, masks and boxes stay as they are.

    Args:
        clip: the clip spec in force, for `mean` and `random`.
        p: probability for each sample.
        scale: least and greatest part of the area.
        ratio: least and greatest height / width.
        value: what erased pixels show, for clips of bytes and of floats alike: a grey 0..255 (0 is black), a colour
            [R, G, B] in 0..255, `mean` (the colour that preprocessing turns into 0) or `random` (noise with the mean
            and standard deviation of the preprocessing, cut off at black and white, the same in every frame).
        per_frame: draw another rectangle, and other noise, for every frame.

    Raises:
        ParameterError: a pair in the wrong order; `mean` or `random` without a clip spec.
    """
    in_order("scale", *scale)
    in_order("ratio", *ratio)
    return RandomErasing(p, scale, ratio, filling(value, clip), per_frame)
