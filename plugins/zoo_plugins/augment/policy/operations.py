"""The operations that policies choose from, each with a strength, done to single samples of a batch.

Named and defined as in torchvision's `RandAugment`, `TrivialAugmentWide` and `AugMix`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo_plugins.augment.geometric.resampling import resample
from zoo_plugins.augment.geometric.stage import Border, Interpolation, Stage, whole
from zoo_plugins.augment.geometric.warp import moved
from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.photometric.autocontrast import autocontrast
from zoo_plugins.augment.photometric.brightness import brightness
from zoo_plugins.augment.photometric.contrast import contrast
from zoo_plugins.augment.photometric.equalize import equalize
from zoo_plugins.augment.photometric.posterize import posterize
from zoo_plugins.augment.photometric.saturation import saturation
from zoo_plugins.augment.photometric.sharpness import sharpness
from zoo_plugins.augment.photometric.solarize import solarize
from zoo_registry.protocols import Batch

Matrix = list[list[float]]


@dataclass(frozen=True)
class Choice:
    """What happens to one sample.

    Attributes:
        operation: a key of `MOVEMENTS` or `COLOURS`, or `identity`.
        strength: in the operation's own unit: pixels, degrees, tangent of a shear, bits, part of white, change of a
            factor.
    """

    operation: str
    strength: float = 0.0


IDENTITY = Choice("identity")


def _turned(degrees: float, height: int, width: int) -> Matrix:
    """Counter-clockwise around the middle."""
    angle, x, y = math.radians(degrees), width / 2, height / 2
    cos, sin = math.cos(angle), math.sin(angle)
    return [[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [0, 0, 1]]


# From a point of what comes out to the point that is seen there, (x, y, 1); shears are around the upper left corner.
MOVEMENTS: Mapping[str, Callable[[float, int, int], Matrix]] = {
    "shear_x": lambda strength, height, width: [[1, strength, 0], [0, 1, 0], [0, 0, 1]],
    "shear_y": lambda strength, height, width: [[1, 0, 0], [strength, 1, 0], [0, 0, 1]],
    "translate_x": lambda strength, height, width: [[1, 0, -int(strength)], [0, 1, 0], [0, 0, 1]],
    "translate_y": lambda strength, height, width: [[1, 0, 0], [0, 1, -int(strength)], [0, 0, 1]],
    "rotate": _turned,
}


def _white(clip_bcthw: Tensor) -> float:
    return 1.0 if clip_bcthw.is_floating_point() else 255.0


COLOURS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": lambda clip_bcthw, strength_b: brightness(clip_bcthw, 1 + strength_b),
    "color": lambda clip_bcthw, strength_b: saturation(clip_bcthw, 1 + strength_b),
    "contrast": lambda clip_bcthw, strength_b: contrast(clip_bcthw, 1 + strength_b),
    "sharpness": lambda clip_bcthw, strength_b: sharpness(clip_bcthw, 1 + strength_b),
    "posterize": lambda clip_bcthw, strength_b: posterize(clip_bcthw, strength_b.long()),
    "solarize": lambda clip_bcthw, strength_b: solarize(clip_bcthw, _white(clip_bcthw) * strength_b),
    "autocontrast": lambda clip_bcthw, strength_b: autocontrast(clip_bcthw),
    "equalize": lambda clip_bcthw, strength_b: equalize(clip_bcthw),
}


def apply_to_batch(batch: Batch, choices: Sequence[Choice], interpolation: Interpolation, border: Border) -> Batch:
    """The batch with one operation a sample; boxes, masks and target clips follow the movements, not the colours."""
    clip_bcthw = batch.inputs[CLIP]
    stage = _stage(clip_bcthw, choices, border)
    batch = moved(batch, [stage], interpolation) if stage else batch
    return replace(batch, inputs={**batch.inputs, CLIP: _coloured(batch.inputs[CLIP], choices)})


def apply_to_clips(
    clip_bcthw: Tensor, choices: Sequence[Choice], interpolation: Interpolation, border: Border
) -> Tensor:
    """The clips with one operation a sample."""
    stage = _stage(clip_bcthw, choices, border)
    return _coloured(resample(clip_bcthw, [stage], interpolation) if stage else clip_bcthw, choices)


def _stage(clip_bcthw: Tensor, choices: Sequence[Choice], border: Border) -> Stage | None:
    """The movements of the samples that are moved, None if none is."""
    if not any(choice.operation in MOVEMENTS for choice in choices):
        return None
    height, width = clip_bcthw.shape[-2:]
    still: Matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    matrices = [
        MOVEMENTS[choice.operation](choice.strength, height, width) if choice.operation in MOVEMENTS else still
        for choice in choices
    ]
    size = (height, width)
    return Stage(torch.tensor(matrices, dtype=torch.float64), whole(len(choices), size), size, border)


def _coloured(clip_bcthw: Tensor, choices: Sequence[Choice]) -> Tensor:
    """The clips with the samples of each operation done together; which these are is known without the device."""
    rows_of: dict[str, list[int]] = {}
    for row, choice in enumerate(choices):
        rows_of.setdefault(choice.operation if choice.operation in COLOURS else "", []).append(row)
    still = rows_of.pop("", [])
    if not rows_of:
        return clip_bcthw
    coloured = torch.empty_like(clip_bcthw, memory_format=torch.contiguous_format)
    for row in still:
        coloured[row].copy_(clip_bcthw[row])
    for operation, rows in rows_of.items():
        # One by one on a CPU: a sample is a view then, and its copies stay in the cache.
        for group in [[row] for row in rows] if clip_bcthw.device.type == "cpu" else [rows]:
            strength_b = torch.tensor([choices[row].strength for row in group], dtype=torch.float64)
            if len(group) == 1:
                place: slice | Tensor = slice(group[0], group[0] + 1)
            else:
                place = torch.tensor(group).to(clip_bcthw.device, non_blocking=True)
            coloured[place] = COLOURS[operation](clip_bcthw[place], strength_b)
    return coloured
