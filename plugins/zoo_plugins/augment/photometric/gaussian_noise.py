"""Noise that is the same in dark and bright places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.photometric.noise import PixelNoise
from zoo_plugins.augment.photometric.passes import in_one_pass, per_sample, top_of
from zoo_plugins.augment.photometric.some_samples import change_rows, draw_rows
from zoo_plugins.augment.ranges import in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch

Part = Annotated[float, Range(ge=0, le=1)]


def gaussian_noise(clip_bcthw: Tensor, sigma_b: Tensor, noise: PixelNoise) -> Tensor:
    """Add normal noise, another for every pixel, channel and frame, and cut off at black and white.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.
        sigma_b: (B,), standard deviation as a part of white.
        noise: where the numbers come from.
    """
    scaled_b = sigma_b * top_of(clip_bcthw)

    def add(values: Tensor, rows: slice) -> Tensor:
        return values.add_(noise.like(values).mul_(per_sample(scaled_b[rows], values)))

    return in_one_pass(clip_bcthw, add)


@dataclass(frozen=True)
class GaussianNoise:
    """See `random_gaussian_noise`."""

    sigma: tuple[float, float]
    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with noise on some of its clips."""
        clip_bcthw = batch.inputs[CLIP]
        low, high = self.sigma
        rows = draw_rows(len(clip_bcthw), self.p, generator)
        sigma_b = low + (high - low) * torch.rand(len(clip_bcthw), generator=generator)
        noise = PixelNoise(generator, clip_bcthw.device)
        noisy = change_rows(clip_bcthw, rows, lambda chosen: gaussian_noise(chosen, sigma_b[rows], noise))
        return replace(batch, inputs={**batch.inputs, CLIP: noisy})


def random_gaussian_noise(
    *, sigma: tuple[Part, Part] = (0.0, 0.1), p: Annotated[float, Range(ge=0, le=1)] = 0.5
) -> Augment:
    """Add normal noise to some samples, new in every frame; target clips stay clean.

    Args:
        sigma: least and greatest standard deviation as a part of white; it is uniform between.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    in_order("sigma", *sigma)
    return GaussianNoise(sigma, p)
