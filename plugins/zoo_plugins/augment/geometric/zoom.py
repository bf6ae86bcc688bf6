"""Nearer or farther."""

from __future__ import annotations

from zoo_plugins.augment.geometric.affine import Affine, Factor
from zoo_plugins.augment.geometric.stage import Border, Interpolation, PaddingMode
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import Fill, MaskFill, in_order
from zoo_registry.protocols import Augment


def zoom(
    *,
    scale: tuple[Factor, Factor],
    interpolation: Interpolation = "bilinear",
    fill: Fill = 0.0,
    padding_mode: PaddingMode = "constant",
    mask_fill: MaskFill = 0,
) -> Augment:
    """Scale around the middle by a uniform factor, the same for every frame; the size of the clip stays.

    Above 1 the borders leave the picture, below 1 something else is seen around it.

    Args:
        scale: least and greatest factor, as for torchvision's `RandomAffine`.
        interpolation: nearest or bilinear (nearest is torchvision's default).
        fill: what is seen outside in mode constant, 0..255, one value or one a channel.
        padding_mode: constant, edge, reflect or symmetric.
        mask_fill: the class that masks get outside in mode constant.

    Raises:
        ParameterError: a range in the wrong order.
    """
    return Warp((Affine(Border(padding_mode, fill, mask_fill), scale=in_order("scale", *scale)),), interpolation)
