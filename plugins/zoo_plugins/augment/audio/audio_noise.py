"""White noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.audio.sound import sound_of, with_sound
from zoo_plugins.augment.ranges import in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch

Decibels = Annotated[float, Range(ge=-60, le=120)]


@dataclass(frozen=True)
class AudioNoise:
    """See `audio_noise`."""

    snr_db: tuple[float, float]
    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with noise on the sound of some samples."""
        audio_bcn = sound_of(batch, "audio_noise")
        draw_b, chance_b = torch.rand(2, len(audio_bcn), generator=generator)
        snr_db_b = self.snr_db[0] + (self.snr_db[1] - self.snr_db[0]) * draw_b
        # Amplitude of the noise for a signal of power one; none where the sample is not chosen.
        amplitude_b = torch.where(chance_b < self.p, 10 ** (-snr_db_b / 20), torch.zeros_like(snr_db_b))
        noise_bcn = torch.randn(audio_bcn.shape, generator=generator) * amplitude_b.view(-1, 1, 1)
        loudness_b11 = audio_bcn.square().mean(dim=(1, 2), keepdim=True).sqrt()
        return with_sound(batch, audio_bcn + noise_bcn.to(audio_bcn.device, non_blocking=True) * loudness_b11)


def audio_noise(
    *, snr_db: tuple[Decibels, Decibels] = (10.0, 30.0), p: Annotated[float, Range(ge=0, le=1)] = 1.0
) -> Augment:
    """Add white Gaussian noise to the sound; silence stays silent. Values are cut off at -1 and 1.

    Args:
        snr_db: least and greatest signal-to-noise ratio in decibels, drawn uniformly; the signal's power is its mean
            over channels and time.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order; when used on batches without sound.
    """
    return AudioNoise(in_order("snr_db", *snr_db), p)
