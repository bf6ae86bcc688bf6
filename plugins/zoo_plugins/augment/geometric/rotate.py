"""Turned around the middle."""

from __future__ import annotations

from zoo_plugins.augment.geometric.affine import Affine, span
from zoo_plugins.augment.geometric.stage import Border, Interpolation, PaddingMode
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import Degrees, Fill, MaskFill
from zoo_registry.protocols import Augment


def rotate(
    *,
    degrees: Degrees | tuple[Degrees, Degrees],
    interpolation: Interpolation = "bilinear",
    fill: Fill = 0.0,
    padding_mode: PaddingMode = "constant",
    mask_fill: MaskFill = 0,
) -> Augment:
    """Turn around the middle of the picture by a uniform angle, the same for every frame.

    Args:
        degrees: least and greatest angle, counter-clockwise as for torchvision's `RandomRotation`; one number is a
            range of both signs.
        interpolation: nearest or bilinear (nearest is torchvision's default).
        fill: what is seen outside in mode constant, 0..255, one value or one a channel.
        padding_mode: constant, edge, reflect or symmetric.
        mask_fill: the class that masks get outside in mode constant.

    Raises:
        ParameterError: a range in the wrong order.
    """
    low, high = span("degrees", degrees)
    return Warp((Affine(Border(padding_mode, fill, mask_fill), degrees=(-high, -low)),), interpolation)
