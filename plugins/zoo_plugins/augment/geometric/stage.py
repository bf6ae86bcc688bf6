"""Where the pixels of moved clips come from: one stage for each augmentation, drawn for a whole batch.

Coordinates are continuous, x to the right and y down: the picture spans 0..width and 0..height, and the centre of its
first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from zoo_plugins.augment.geometry import Scale
from zoo_registry.errors import ParameterError

PaddingMode = Literal["constant", "edge", "reflect", "symmetric"]
Interpolation = Literal["nearest", "bilinear"]


@dataclass(frozen=True)
class Border:
    """What is seen outside of the picture.

    Attributes:
        padding_mode: as torchvision's and NumPy's `pad` name them: `constant` is `fill`, `edge` repeats the last pixel,
            `reflect` mirrors without repeating it, `symmetric` mirrors and repeats it.
        fill: 0..255, one value or one a channel; clips of floats get it divided by 255.
        mask_fill: the class that masks get there when the mode is constant.
    """

    padding_mode: PaddingMode = "constant"
    fill: float | tuple[float, ...] = 0.0
    mask_fill: int = 0


@dataclass(frozen=True)
class Stage:
    """One movement of every sample of a batch.

    Attributes:
        to_input_b33: float64 on the CPU, from a point (x, y, 1) of what comes out to the point that is seen there.
        inside_b4: float64 on the CPU, x1 y1 x2 y2: the part of the input that may be seen, the whole of it or a window.
        size: (height, width) of what comes out.
        border: what is seen outside of `inside_b4`.
        resizes: the window is brought to another size, antialiased where that is smaller; only for windows.
    """

    to_input_b33: Tensor
    inside_b4: Tensor
    size: tuple[int, int]
    border: Border = Border()
    resizes: bool = False


def windows(corners_b4: Sequence[Sequence[int]], size: tuple[int, int]) -> Stage:
    """A stage that sees one window a sample and brings it to `size`.

    Args:
        corners_b4: top, left, height and width of each, in whole pixels inside of the picture.
        size: (height, width) of what comes out.
    """
    top, left, height, width = torch.tensor(corners_b4, dtype=torch.float64).reshape(-1, 4).unbind(1)
    to_input_b33 = eyes(len(top))
    to_input_b33[:, 0, 0], to_input_b33[:, 0, 2] = width / size[1], left
    to_input_b33[:, 1, 1], to_input_b33[:, 1, 2] = height / size[0], top
    inside_b4 = torch.stack([left, top, left + width, top + height], 1)
    resizes = any((corners[2], corners[3]) != size for corners in corners_b4)
    return Stage(to_input_b33, inside_b4, size, Border("edge"), resizes)


def whole(count: int, size: tuple[int, int]) -> Tensor:
    """`inside_b4` of stages that see the whole picture of (height, width)."""
    return torch.tensor([0, 0, size[1], size[0]], dtype=torch.float64).repeat(count, 1)


def eyes(count: int) -> Tensor:
    """`to_input_b33` that moves nothing."""
    return torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)


def shifts(x_b: Tensor, y_b: Tensor) -> Tensor:
    """Matrices (B, 3, 3) that add (x, y) to a point."""
    matrices_b33 = eyes(len(x_b))
    matrices_b33[:, 0, 2], matrices_b33[:, 1, 2] = x_b, y_b
    return matrices_b33


def scaled(stages: Sequence[Stage], scale: Scale) -> list[Stage]:
    """The same movements of a clip at another scale than that for which they were drawn.

    Raises:
        ParameterError: no pixel would be left of it.
    """
    found, factor = [], (float(scale[1]), float(scale[0]))
    for stage in stages:
        size = (round(stage.size[0] * scale[0]), round(stage.size[1] * scale[1]))
        if not all(size):
            raise ParameterError(
                f"clips of {stage.size[0]}x{stage.size[1]} are to be cut, and no pixel of their targets, which have "
                f"{float(scale[0]):g} rows for each of theirs and {float(scale[1]):g} columns, would be left",
                hint="raise data.clip.size, or have larger target clips and masks",
            )
        factor_out = (size[1] / stage.size[1], size[0] / stage.size[0])
        to_input_b33 = _diagonal(factor) @ stage.to_input_b33 @ _diagonal((1 / factor_out[0], 1 / factor_out[1]))
        inside_b4 = stage.inside_b4 * torch.tensor(factor * 2, dtype=torch.float64)
        found.append(replace(stage, to_input_b33=to_input_b33, inside_b4=inside_b4, size=size))
        factor = factor_out
    return found


def _diagonal(factor: tuple[float, float]) -> Tensor:
    return torch.diag(torch.tensor([*factor, 1.0], dtype=torch.float64))


def move_boxes(stages: Sequence[Stage], row: int, boxes_n4: Tensor) -> Tensor:
    """Boxes as seen after all stages: around their moved corners, clipped to the picture after each.

    A box that left the picture stays without area; dropping it would part it from its label.
    """
    x_n2, y_n2 = boxes_n4[:, 0::2], boxes_n4[:, 1::2]
    for stage in stages:
        matrix = stage.to_input_b33[row]
        if not torch.equal(matrix, torch.eye(3, dtype=torch.float64)):
            x_n2, y_n2 = _around(x_n2, y_n2, torch.linalg.inv(matrix).tolist())
        x_n2, y_n2 = x_n2.clamp(0, stage.size[1]), y_n2.clamp(0, stage.size[0])
    return torch.stack([x_n2, y_n2], 2).flatten(1)


def _around(x_n2: Tensor, y_n2: Tensor, to_output: list[list[float]]) -> tuple[Tensor, Tensor]:
    """Least and greatest x and y of the moved corners; with plain numbers, so that nothing is sent to the device."""
    x_n4, y_n4 = torch.cat([x_n2, x_n2.flip(1)], 1), y_n2.repeat_interleave(2, 1)
    (a, b, c), (d, e, f), (g, h, i) = to_output
    x_moved, y_moved = a * x_n4 + b * y_n4 + c, d * x_n4 + e * y_n4 + f
    if (g, h, i) != (0, 0, 1):
        depth = g * x_n4 + h * y_n4 + i
        x_moved, y_moved = x_moved / depth, y_moved / depth
    return torch.stack(x_moved.aminmax(dim=1), 1), torch.stack(y_moved.aminmax(dim=1), 1)
