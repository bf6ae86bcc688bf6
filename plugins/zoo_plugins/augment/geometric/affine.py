"""Turned, moved, scaled and sheared at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometric.stage import Border, Interpolation, PaddingMode, Stage, eyes, shifts, whole
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import Degrees, Fill, MaskFill, ShearDegrees, in_order
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment

Pair = tuple[float, float]
Shear = ShearDegrees | tuple[ShearDegrees, ShearDegrees] | tuple[ShearDegrees, ShearDegrees, ShearDegrees, ShearDegrees]
Part = Annotated[float, Range(ge=0, le=1)]
Factor = Annotated[float, Range(ge=0.001, le=1000)]


@dataclass(frozen=True)
class Affine:
    """Uniform draws of an affine movement around the middle of the picture; see `affine`.

    Attributes:
        degrees: least and greatest angle, clockwise.
        translate: greatest part of width and height to move by.
        scale: least and greatest factor.
        shear_x, shear_y: least and greatest angle in degrees.
        border: what is seen outside of the picture.
    """

    border: Border
    degrees: Pair = (0.0, 0.0)
    translate: Pair = (0.0, 0.0)
    scale: Pair = (1.0, 1.0)
    shear_x: Pair = (0.0, 0.0)
    shear_y: Pair = (0.0, 0.0)

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """Every sample moved by parameters of its own."""
        height, width = height_width
        across, down = self.translate[0] * width, self.translate[1] * height
        ranges = (self.degrees, (-across, across), (-down, down), self.scale, self.shear_x, self.shear_y)
        # All are drawn even when unused, so that switching one off leaves the others' draws alone.
        draws_6b = torch.rand(6, count, generator=generator, dtype=torch.float64)
        angle, x, y, scale, shear_x, shear_y = (
            low + (high - low) * draws_b for (low, high), draws_b in zip(ranges, draws_6b, strict=True)
        )
        middle = (width / 2, height / 2)
        to_output_b33 = affine_matrices(angle, x.round(), y.round(), scale, shear_x, shear_y, middle)
        return Stage(torch.linalg.inv(to_output_b33), whole(count, height_width), height_width, self.border)


def affine_matrices(
    angle_b: Tensor, x_b: Tensor, y_b: Tensor, scale_b: Tensor, shear_x_b: Tensor, shear_y_b: Tensor, centre: Pair
) -> Tensor:
    """Matrices (B, 3, 3), float64, from where points are to where they go, as torchvision's `affine` defines them.

    Sheared along x, then along y, scaled, turned around `centre` (x, y) and moved.

    Args:
        angle_b: degrees, clockwise.
        x_b: pixels to the right.
        y_b: pixels down.
        scale_b: factor.
        shear_x_b: degrees; rows slide against each other.
        shear_y_b: degrees; columns do.
        centre: the point that stays where it is when nothing is moved.
    """
    turned_b33 = eyes(len(angle_b))
    angle_b = angle_b * (math.pi / 180)
    turned_b33[:, 0, 0], turned_b33[:, 0, 1] = angle_b.cos(), -angle_b.sin()
    turned_b33[:, 1, 0], turned_b33[:, 1, 1] = angle_b.sin(), angle_b.cos()
    sheared_x_b33, sheared_y_b33 = eyes(len(angle_b)), eyes(len(angle_b))
    sheared_x_b33[:, 0, 1] = -torch.tan(shear_x_b * (math.pi / 180))
    sheared_y_b33[:, 1, 0] = -torch.tan(shear_y_b * (math.pi / 180))
    scaled_b33 = eyes(len(angle_b))
    scaled_b33[:, 0, 0] = scaled_b33[:, 1, 1] = scale_b
    around = torch.zeros_like(x_b)
    to_centre_b33, back_b33 = shifts(around - centre[0], around - centre[1]), shifts(x_b + centre[0], y_b + centre[1])
    return back_b33 @ turned_b33 @ scaled_b33 @ sheared_y_b33 @ sheared_x_b33 @ to_centre_b33


def span(name: str, value: float | Pair) -> Pair:
    """A range of angles: -value to value for one number.

    Raises:
        ParameterError: a negative number, or a pair in the wrong order.
    """
    if isinstance(value, tuple):
        return in_order(name, *value)
    if value < 0:
        raise ParameterError(f"{name} is {value}; one number is a range of both signs", hint=f"write {name}: {-value}")
    return -value, value


def shears(value: Shear) -> tuple[Pair, Pair]:
    """Ranges along x and y from what torchvision's `shear` takes."""
    if isinstance(value, tuple) and len(value) == 4:
        return in_order("shear", *value[:2]), in_order("shear", *value[2:])
    return span("shear", value), (0.0, 0.0)


def affine(
    *,
    degrees: Degrees | tuple[Degrees, Degrees],
    translate: tuple[Part, Part] = (0.0, 0.0),
    scale: tuple[Factor, Factor] = (1.0, 1.0),
    shear: Shear = 0.0,
    interpolation: Interpolation = "bilinear",
    fill: Fill = 0.0,
    padding_mode: PaddingMode = "constant",
    mask_fill: MaskFill = 0,
) -> Augment:
    """Turn, move, scale and shear at once around the middle of the picture, the same for every frame.

    Parameters are uniform and mean what they mean for torchvision's `RandomAffine`; moves are whole pixels.

    Args:
        degrees: angle, clockwise; one number is a range of both signs. 0 does not turn.
        translate: greatest part of width and height to move by, to either side.
        scale: least and greatest factor.
        shear: degrees along x, one number for both signs; four numbers are the ranges along x and along y.
        interpolation: nearest or bilinear (nearest is torchvision's default).
        fill: what is seen outside in mode constant, 0..255, one value or one a channel.
        padding_mode: constant, edge, reflect or symmetric.
        mask_fill: the class that masks get outside in mode constant.

    Raises:
        ParameterError: a range in the wrong order.
    """
    border = Border(padding_mode, fill, mask_fill)
    draw = Affine(border, span("degrees", degrees), translate, in_order("scale", *scale), *shears(shear))
    return Warp((draw,), interpolation)
