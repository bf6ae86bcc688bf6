"""What a bright and misty air hides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.degradation.drawn import Degradation, uniform
from zoo_plugins.augment.photometric.passes import in_one_pass, top_of
from zoo_plugins.augment.ranges import in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment

Part = Annotated[float, Range(ge=0, le=1)]
Density = Annotated[float, Range(ge=0, le=1000)]


def haze(clip_cthw: Tensor, density: float, light: float, slope: float) -> Tensor:
    """Atmospheric scattering: I = J t + A (1 - t) with t = exp(-density * depth).

    Koschmieder 1924, "Theorie der horizontalen Sichtweite"; in this form Narasimhan and Nayar 2002, "Vision and the
    atmosphere". The depth of a film is not known: it falls evenly from 1 in the top row to 1 - slope in the
    bottom row, as it does in many pictures of a ground below a horizon.

    Args:
        clip_cthw: uint8 0..255 or float 0..1.
        density: optical thickness at depth 1; 0 is clear air, at 3 a twentieth of the picture is left.
        light: A, brightness of the air as a part of white.
        slope: 0 is the same depth everywhere, 1 is nothing in front of the bottom row.
    """
    height = clip_cthw.shape[-2]
    depth_h = 1 - slope * torch.linspace(0, 1, height) if height > 1 else torch.ones(1)
    through_h1 = torch.exp(-density * depth_h).view(-1, 1).to(clip_cthw.device, non_blocking=True)
    air_h1 = light * top_of(clip_cthw) * (1 - through_h1)
    return in_one_pass(clip_cthw[None], lambda values, rows: values.mul_(through_h1).add_(air_h1))[0]


@dataclass(frozen=True, kw_only=True)
class Haze(Degradation[tuple[float, float]]):
    """See `random_haze`."""

    density: tuple[float, float]
    light: tuple[float, float]
    slope: float

    def draw(self, clip_bcthw: Tensor, generator: Generator) -> Sequence[tuple[float, float]]:
        """Density and light for each sample."""
        count = len(clip_bcthw)
        densities = uniform(count, *self.density, generator)
        return [*zip(densities, uniform(count, *self.light, generator), strict=True)]

    def degrade(self, clip_cthw: Tensor, drawn: tuple[float, float]) -> Tensor:
        """The hazy clip."""
        return haze(clip_cthw, *drawn, self.slope)


def random_haze(
    *,
    density: tuple[Density, Density] = (0.3, 1.5),
    light: tuple[Part, Part] = (0.7, 1.0),
    slope: Part = 0.7,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
) -> Augment:
    """Put haze before clips, the same in all frames; target clips stay clear.

    Args:
        density: least and greatest optical thickness at the top of the picture; it is uniform between.
        light: least and greatest brightness of the air, as a part of white; it is uniform between.
        slope: by how much of it the depth falls from the top row to the bottom row; 0 is the same haze everywhere.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    in_order("density", *density)
    in_order("light", *light)
    return Haze(density=density, light=light, slope=slope, p=p)
