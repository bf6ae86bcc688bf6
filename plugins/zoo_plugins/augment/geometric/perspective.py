"""Seen from another place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometric.stage import Border, Interpolation, PaddingMode, Stage, eyes, whole
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import Fill, MaskFill
from zoo_registry import Range
from zoo_registry.protocols import Augment

_NEAREST = 0.05
"""Depth, of 1 at the upper left corner: what is seen from nearer is not drawn."""


@dataclass(frozen=True)
class Perspective:
    """See `perspective`."""

    distortion_scale: float
    p: float
    border: Border

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """Some samples with their corners drawn towards the middle."""
        height, width = height_width
        draws_b42 = torch.rand(count, 4, 2, generator=generator, dtype=torch.float64)
        drawn_b = torch.rand(count, generator=generator) < self.p
        reach = draws_b42.new_tensor([int(self.distortion_scale * (side // 2)) + 1 for side in (width, height)])
        inwards_b42 = (draws_b42 * reach).floor()
        corners_42 = draws_b42.new_tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
        towards_42 = draws_b42.new_tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        if min(height_width) < 2:  # no plane in so few pixels
            return Stage(eyes(count), whole(count, height_width), height_width, self.border)
        drawn_b42 = corners_42 + towards_42 * inwards_b42
        drawn_b = drawn_b & _is_convex(drawn_b42)
        seen_b33 = homographies(
            torch.where(drawn_b[:, None, None], drawn_b42, corners_42), corners_42.expand_as(drawn_b42)
        )
        # Where the horizon runs through the picture, what lies behind it would be seen upside down.
        ends_34 = draws_b42.new_tensor([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1]])
        ahead_b = ((seen_b33 @ ends_34)[:, 2] > _NEAREST).all(1)
        to_input_b33 = torch.where((drawn_b & ahead_b)[:, None, None], seen_b33, eyes(count))
        return Stage(to_input_b33, whole(count, height_width), height_width, self.border)


def _is_convex(corners_b42: Tensor) -> Tensor:
    """(B,) whether four corners in a row turn the same way, with some room: else they show no plane."""
    edges_b42 = corners_b42.roll(-1, 1) - corners_b42
    following_b42 = edges_b42.roll(-1, 1)
    turns_b4 = edges_b42[..., 0] * following_b42[..., 1] - edges_b42[..., 1] * following_b42[..., 0]
    return (turns_b4 > 0.5).all(1)


def homographies(from_b42: Tensor, to_b42: Tensor) -> Tensor:
    """Matrices (B, 3, 3) that bring four points each to four others; the eight equations of a plane seen in a plane."""
    (x, y), (u, v) = from_b42.unbind(-1), to_b42.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    solved_b8 = torch.linalg.solve(torch.cat([rows_u, rows_v], 1), torch.cat([u, v], 1))
    return torch.cat([solved_b8, one[:, :1]], 1).view(-1, 3, 3)


def perspective(
    *,
    distortion_scale: Annotated[float, Range(ge=0, le=1)] = 0.5,
    p: Annotated[float, Range(ge=0, le=1)] = 0.5,
    interpolation: Interpolation = "bilinear",
    fill: Fill = 0.0,
    padding_mode: PaddingMode = "constant",
    mask_fill: MaskFill = 0,
) -> Augment:
    """Draw the four corners towards the middle, each by itself, the same for every frame.

    Args:
        distortion_scale: greatest part of half the width and height that a corner moves, as for torchvision's
            `RandomPerspective`.
        p: probability for each sample.
        interpolation: nearest or bilinear.
        fill: what is seen outside in mode constant, 0..255, one value or one a channel.
        padding_mode: constant, edge, reflect or symmetric.
        mask_fill: the class that masks get outside in mode constant.
    """
    return Warp((Perspective(distortion_scale, p, Border(padding_mode, fill, mask_fill)),), interpolation)
