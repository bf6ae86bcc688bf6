"""Rows or columns slid against each other."""

from __future__ import annotations

from zoo_plugins.augment.geometric.affine import Affine, Shear, shears
from zoo_plugins.augment.geometric.stage import Border, Interpolation, PaddingMode
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import Fill, MaskFill
from zoo_registry.protocols import Augment


def shear(
    *,
    shear: Shear,
    interpolation: Interpolation = "bilinear",
    fill: Fill = 0.0,
    padding_mode: PaddingMode = "constant",
    mask_fill: MaskFill = 0,
) -> Augment:
    """Slide rows (and columns) against each other around the middle by uniform angles, the same for every frame.

    Args:
        shear: degrees along x, one number for both signs; four numbers are the ranges along x and along y, as for
            torchvision's `RandomAffine`.
        interpolation: nearest or bilinear (nearest is torchvision's default).
        fill: what is seen outside in mode constant, 0..255, one value or one a channel.
        padding_mode: constant, edge, reflect or symmetric.
        mask_fill: the class that masks get outside in mode constant.

    Raises:
        ParameterError: a range in the wrong order.
    """
    shear_x, shear_y = shears(shear)
    draw = Affine(Border(padding_mode, fill, mask_fill), shear_x=shear_x, shear_y=shear_y)
    return Warp((draw,), interpolation)
