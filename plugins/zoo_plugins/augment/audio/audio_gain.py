"""Louder or quieter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.audio.sound import sound_of, with_sound
from zoo_plugins.augment.ranges import in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch

Decibels = Annotated[float, Range(ge=-120, le=60)]


@dataclass(frozen=True)
class AudioGain:
    """See `audio_gain`."""

    db: tuple[float, float]
    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with the sound of some samples louder or quieter."""
        audio_bcn = sound_of(batch, "audio_gain")
        draw_b, chance_b = torch.rand(2, len(audio_bcn), generator=generator)
        db_b = self.db[0] + (self.db[1] - self.db[0]) * draw_b
        factor_b = torch.where(chance_b < self.p, 10 ** (db_b / 20), torch.ones_like(db_b))
        factor_b11 = factor_b.to(audio_bcn.dtype).to(audio_bcn.device, non_blocking=True).view(-1, 1, 1)
        return with_sound(batch, audio_bcn * factor_b11)


def audio_gain(*, db: tuple[Decibels, Decibels] = (-6.0, 6.0), p: Annotated[float, Range(ge=0, le=1)] = 1.0) -> Augment:
    """Multiply the sound by `10 ** (db / 20)`. Values are cut off at -1 and 1, as a recorder does.

    Args:
        db: least and greatest gain in decibels, drawn uniformly; 6 doubles the amplitude.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order; when used on batches without sound.
    """
    return AudioGain(in_order("db", *db), p)
