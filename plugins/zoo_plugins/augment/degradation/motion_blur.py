"""What a camera that moves during the exposure sees."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Generator, Tensor
from torch.nn.functional import pad

from zoo_plugins.augment.degradation.drawn import Degradation, uniform
from zoo_plugins.augment.photometric.passes import in_one_pass
from zoo_plugins.augment.ranges import Degrees, in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment

Length = Annotated[float, Range(ge=1, le=1000)]


def line(length: float, angle: float) -> Mapping[tuple[int, int], float]:
    """Weights of neighbours by (down, right) in pixels, for a straight and even motion; they sum to one.

    The line is sampled at about every pixel of its length, middle of the first to middle of the last; a sample between
    pixels counts for the four around it (bilinear).

    Args:
        length: in pixels; 1 is no motion.
        angle: in degrees, anticlockwise from the right.

    Example:
        >>> line(4, 0) == {(0, -2): 0.125, (0, -1): 0.25, (0, 0): 0.25, (0, 1): 0.25, (0, 2): 0.125}
        True
    """
    count = math.ceil(length)
    right, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    weights: dict[tuple[int, int], float] = defaultdict(float)
    for number in range(count):
        along = 0.0 if count == 1 else (number / (count - 1) - 0.5) * (length - 1)
        # Rounded, as the sine of 180 degrees is not quite zero and would make a neighbour of next to no weight.
        y, x = round(-along * up, 9), round(along * right, 9)
        top, left = math.floor(y), math.floor(x)
        for row, of_row in ((top, top + 1 - y), (top + 1, y - top)):
            for column, of_column in ((left, left + 1 - x), (left + 1, x - left)):
                if of_row * of_column:
                    weights[row, column] += of_row * of_column / count
    return dict(weights)


def motion_blur(clip_cthw: Tensor, length: float, angle: float) -> Tensor:
    """Every frame as if the camera had moved straight and evenly while it was taken; borders are repeated.

    Args:
        clip_cthw: uint8 0..255 or float 0..1.
        length: of the motion, in pixels; 1 changes nothing.
        angle: in degrees, anticlockwise from the right.
    """
    weights = line(length, angle)
    reach = max(max(abs(row), abs(column)) for row, column in weights)
    if not reach:
        return clip_cthw
    height, width = clip_cthw.shape[-2:]

    def blur(values_bcthw: Tensor, rows: slice) -> Tensor:
        padded = pad(values_bcthw.flatten(0, 1), [reach] * 4, mode="replicate").view(
            *values_bcthw.shape[:-2], height + 2 * reach, width + 2 * reach
        )
        total = values_bcthw.zero_()
        for (down, right), weight in weights.items():
            top, left = reach + down, reach + right
            total.add_(padded[..., top : top + height, left : left + width], alpha=weight)
        return total

    return in_one_pass(clip_cthw[None], blur)[0]


@dataclass(frozen=True, kw_only=True)
class MotionBlur(Degradation[tuple[float, float]]):
    """See `random_motion_blur`."""

    length: tuple[float, float]
    angle: tuple[float, float]

    def draw(self, clip_bcthw: Tensor, generator: Generator) -> Sequence[tuple[float, float]]:
        """Length and angle for each sample."""
        count = len(clip_bcthw)
        lengths = uniform(count, *self.length, generator)
        return [*zip(lengths, uniform(count, *self.angle, generator), strict=True)]

    def degrade(self, clip_cthw: Tensor, drawn: tuple[float, float]) -> Tensor:
        """The blurred clip."""
        return motion_blur(clip_cthw, *drawn)


def random_motion_blur(
    *,
    length: tuple[Length, Length] = (3.0, 15.0),
    angle: tuple[Degrees, Degrees] = (0.0, 180.0),
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
) -> Augment:
    """Blur clips along a straight line, all frames alike; target clips stay sharp.

    Args:
        length: least and greatest of the motion, in pixels; it is uniform between.
        angle: least and greatest of its direction, in degrees, anticlockwise from the right; 0..180 is all there is.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    in_order("length", *length)
    in_order("angle", *angle)
    return MotionBlur(length=length, angle=angle, p=p)
