"""Gamma correction."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from zoo_plugins.augment.photometric.some_samples import Uniform
from zoo_plugins.augment.photometric.tables import by_value
from zoo_registry import Range
from zoo_registry.protocols import Augment

Positive = Annotated[float, Range(gt=0, le=100)]


def gamma(clip_bcthw: Tensor, gamma_b: Tensor) -> Tensor:
    """Each value to the power of gamma, as `torchvision.transforms.v2.functional.adjust_gamma` does.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.
        gamma_b: (B,); less than 1 makes shadows lighter, 1 changes nothing.
    """
    return by_value(clip_bcthw, lambda values, exponent: values.pow(exponent), gamma_b)


def random_gamma(
    *, gamma: tuple[Positive, Positive] = (0.7, 1.5), p: Annotated[float, Range(ge=0, le=1)] = 1.0
) -> Augment:
    """Gamma correction of some samples, the same for all frames; target clips keep theirs.

    Args:
        gamma: least and greatest exponent; it is uniform between.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    return Uniform.between("gamma", gamma, _gamma, p)


_gamma = gamma
