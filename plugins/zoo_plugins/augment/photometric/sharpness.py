"""Sharpness."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from zoo_plugins.augment.photometric.passes import in_one_pass, per_sample
from zoo_plugins.augment.photometric.some_samples import Uniform
from zoo_registry import Range
from zoo_registry.protocols import Augment

Factor = Annotated[float, Range(ge=0, le=1000)]


def sharpness(clip_bcthw: Tensor, factor_b: Tensor) -> Tensor:
    """Change the sharpness as `torchvision.transforms.v2.functional.adjust_sharpness` and PIL do.

    A pixel moves away from, or towards, the mean of its 3x3 neighbourhood in which it counts five times. Pixels at the
    border stay.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.
        factor_b: (B,), 0 is blurred, 1 changes nothing, 2 is sharpened.
    """
    if min(clip_bcthw.shape[-2:]) <= 2:
        return clip_bcthw
    is_bytes = not clip_bcthw.is_floating_point()

    def sharpen(values: Tensor, rows: slice) -> Tensor:
        height = values.shape[-2] - 2
        three_wide = values[..., :-2] + values[..., 1:-1]
        three_wide.add_(values[..., 2:])
        smooth = three_wide[..., :height, :] + three_wide[..., 1:-1, :]
        middle = values[..., 1:-1, 1:-1]
        smooth.add_(three_wide[..., 2:, :]).add_(middle, alpha=4).mul_(1 / 13)
        if is_bytes:
            smooth.round_()
        middle.add_(smooth.sub_(middle).mul_(1 - per_sample(factor_b[rows], values)))
        return values

    return in_one_pass(clip_bcthw, sharpen)


def random_sharpness(
    *, sharpness: tuple[Factor, Factor] = (0.5, 2.0), p: Annotated[float, Range(ge=0, le=1)] = 0.5
) -> Augment:
    """Change the sharpness of some samples, the same for all frames; target clips keep theirs.

    Args:
        sharpness: least and greatest factor, between which it is uniform: 0 is blurred, 1 changes nothing, 2 is
            sharpened.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    return Uniform.between("sharpness", sharpness, _sharpness, p)


_sharpness = sharpness
