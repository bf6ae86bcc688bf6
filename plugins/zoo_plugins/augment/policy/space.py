"""Which operations a policy draws from, and how strong each is at which level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from zoo_plugins.augment.policy.operations import Choice


@dataclass(frozen=True)
class Strength:
    """From the weakest to the strongest level of an operation.

    Attributes:
        weakest, strongest: the strength of the first and the last level; those between lie on a line.
        has_sign: drawn with both signs.
        of: what a strength is a part of, None where it is one by itself.
        is_whole: rounded to whole numbers.
    """

    weakest: float = 0.0
    strongest: float = 0.0
    has_sign: bool = False
    of: Literal["height", "width"] | None = None
    is_whole: bool = False

    def at(self, level: int, levels: int, height: int, width: int) -> float:
        """The strength at a level of 0 .. levels - 1, for clips of height x width."""
        factor = {"height": height, "width": width, None: 1}[self.of]
        # In float32 as torchvision computes it: half a pixel's rounding decides what is cut off.
        line = torch.linspace(self.weakest * factor, self.strongest * factor, levels)
        strength = float(line[level])
        return float(round(strength)) if self.is_whole else strength


Space = Mapping[str, Strength]


def choose(space: Space, drawn: tuple[float, int, bool], levels: int, height_width: tuple[int, int]) -> Choice:
    """One operation for one sample.

    Args:
        space: what there is to choose from.
        drawn: which operation as a part (0..1) of the space, at which level, and whether with a minus.
        levels: how many levels there are.
        height_width: of the clip.
    """
    part, level, is_negative = drawn
    operation = [*space][int(part * len(space))]
    strength = space[operation].at(level, levels, *height_width)
    return Choice(operation, -strength if is_negative and space[operation].has_sign else strength)


def _signed(strongest: float, of: Literal["height", "width"] | None = None) -> Strength:
    return Strength(0.0, strongest, has_sign=True, of=of)


def _space(
    *, shear: float, translate_x: Strength, translate_y: Strength, degrees: float, factor: float, bits: tuple[int, int]
) -> dict[str, Strength]:
    """What all policies have in common."""
    return {
        "shear_x": _signed(shear),
        "shear_y": _signed(shear),
        "translate_x": translate_x,
        "translate_y": translate_y,
        "rotate": _signed(degrees),
        "brightness": _signed(factor),
        "color": _signed(factor),
        "contrast": _signed(factor),
        "sharpness": _signed(factor),
        "posterize": Strength(*bits, is_whole=True),
        "solarize": Strength(1.0, 0.0),
        "autocontrast": Strength(),
        "equalize": Strength(),
    }


_PART = 150 / 331  # of the picture: pixels of those that AutoAugment was searched on

RAND_AUGMENT: Space = {
    "identity": Strength(),
    **_space(
        shear=0.3, translate_x=_signed(_PART, "width"), translate_y=_signed(_PART, "height"), degrees=30.0, factor=0.9,
        bits=(8, 4),
    ),
}  # fmt: skip
TRIVIAL_AUGMENT: Space = {
    "identity": Strength(),
    **_space(shear=0.99, translate_x=_signed(32.0), translate_y=_signed(32.0), degrees=135.0, factor=0.99, bits=(8, 2)),
}
AUG_MIX: Space = _space(
    shear=0.3, translate_x=_signed(1 / 3, "width"), translate_y=_signed(1 / 3, "height"), degrees=30.0, factor=0.9,
    bits=(4, 0),
)  # fmt: skip
AUG_MIX_WITHOUT_COLOURS: Space = {
    name: strength for name, strength in AUG_MIX.items() if name not in ("brightness", "color", "contrast", "sharpness")
}
