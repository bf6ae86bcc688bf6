"""What a sensor with few photons sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Generator, Tensor

from zoo_plugins.augment.degradation.drawn import Degradation, log_uniform, uniform
from zoo_plugins.augment.photometric.noise import PixelNoise
from zoo_plugins.augment.photometric.passes import in_one_pass, top_of
from zoo_plugins.augment.ranges import in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment

Photons = Annotated[float, Range(ge=0.001, le=1e9)]
Part = Annotated[float, Range(ge=0, le=1)]


@dataclass(frozen=True)
class Exposure:
    """How a clip was taken: photons that make white, deviation of the read noise as a part of white, its own noise."""

    photons: float
    read: float
    noise: PixelNoise


def poisson_noise(clip_cthw: Tensor, exposure: Exposure) -> Tensor:
    """Shot and read noise of a sensor: y = Poisson(x * photons) / photons + Normal(0, read), for x in 0..1.

    The mean stays, the variance is x / photons + read^2 (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling
    and fitting for single-image raw-data"). Values are cut off at black and white.

    Args:
        clip_cthw: uint8 0..255 or float 0..1.
        exposure: how it was taken.
    """
    top = top_of(clip_cthw)

    def expose(values_bcthw: Tensor, rows: slice) -> Tensor:
        photons = exposure.noise.poisson(values_bcthw.mul_(exposure.photons / top))
        seen = photons.mul_(top / exposure.photons)
        return seen.add_(exposure.noise.like(seen), alpha=exposure.read * top) if exposure.read else seen

    return in_one_pass(clip_cthw[None], expose)[0]


@dataclass(frozen=True, kw_only=True)
class PoissonNoise(Degradation[Exposure]):
    """See `random_poisson_noise`."""

    photons: tuple[float, float]
    read: tuple[float, float]

    def draw(self, clip_bcthw: Tensor, generator: Generator) -> Sequence[Exposure]:
        """An exposure for each sample."""
        count = len(clip_bcthw)
        photons = log_uniform(count, *self.photons, generator)
        reads = uniform(count, *self.read, generator)
        noise = PixelNoise(generator, clip_bcthw.device)
        return [Exposure(number, read, noise) for number, read in zip(photons, reads, strict=True)]

    def degrade(self, clip_cthw: Tensor, drawn: Exposure) -> Tensor:
        """The noisy clip."""
        return poisson_noise(clip_cthw, drawn)


def random_poisson_noise(
    *,
    photons: tuple[Photons, Photons] = (30.0, 3000.0),
    read: tuple[Part, Part] = (0.0, 0.02),
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
) -> Augment:
    """Shot and read noise as of a sensor in little light, new in every frame; target clips stay clean.

    Args:
        photons: least and greatest number that makes white; its logarithm is uniform. Fewer are noisier.
        read: least and greatest deviation of the read noise, as a part of white; it is uniform between.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    in_order("photons", *photons)
    in_order("read", *read)
    return PoissonNoise(photons=photons, read=read, p=p)
