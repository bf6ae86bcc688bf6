"""Moved sideways, up or down."""

from __future__ import annotations

from zoo_plugins.augment.geometric.affine import Affine, Part
from zoo_plugins.augment.geometric.stage import Border, Interpolation, PaddingMode
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import Fill, MaskFill
from zoo_registry.protocols import Augment


def translate(
    *,
    translate: tuple[Part, Part],
    interpolation: Interpolation = "bilinear",
    fill: Fill = 0.0,
    padding_mode: PaddingMode = "constant",
    mask_fill: MaskFill = 0,
) -> Augment:
    """Move the picture by whole pixels, uniform to either side, the same for every frame.

    Args:
        translate: greatest part of width and height to move by, as for torchvision's `RandomAffine`.
        interpolation: of the other movements it is merged with; whole pixels need none.
        fill: what is seen outside in mode constant, 0..255, one value or one a channel.
        padding_mode: constant, edge, reflect or symmetric.
        mask_fill: the class that masks get outside in mode constant.
    """
    return Warp((Affine(Border(padding_mode, fill, mask_fill), translate=translate),), interpolation)
