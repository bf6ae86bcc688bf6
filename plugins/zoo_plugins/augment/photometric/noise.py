"""Random numbers for every pixel, drawn where the clip is."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


class PixelNoise:
    """Standard normal numbers from a stream of their own, which the batch's generator seeds.

    A batch has millions of pixels: drawing their noise on the CPU and sending it to a GPU would take longer than the
    rest of the step. So only the seed is drawn there; the same seed gives other noise on another kind of device.
    """

    def __init__(self, generator: Generator, device: torch.device) -> None:
        seed = int(torch.randint(0, 2**62, (), generator=generator))
        self._generator = None if device.type == "meta" else Generator(device).manual_seed(seed)

    def like(self, values: Tensor) -> Tensor:
        """New noise for as many values."""
        noise = torch.empty_like(values)
        return noise if self._generator is None else noise.normal_(generator=self._generator)

    def poisson(self, rates: Tensor) -> Tensor:
        """How often something happened that happens so often on average, for every value."""
        return torch.poisson(rates, generator=self._generator)
