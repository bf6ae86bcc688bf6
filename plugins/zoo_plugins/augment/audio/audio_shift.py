"""Sound that comes earlier or later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.audio.sound import sound_of, with_sound
from zoo_registry import AudioSpec, Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch

Fill = Literal["silence", "circular"]


@dataclass(frozen=True)
class AudioShift:
    """See `audio_shift`; `samples` is the limit where it was given in seconds, else `part` is."""

    part: float
    samples: int | None
    fill: Fill
    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with the sound of some samples moved in time."""
        audio_bcn = sound_of(batch, "audio_shift")
        length = audio_bcn.shape[-1]
        limit = round(self.part * length) if self.samples is None else min(self.samples, length)
        draw_b, chance_b = torch.rand(2, len(audio_bcn), generator=generator, dtype=torch.float64)
        shift_b = (draw_b * (2 * limit + 1)).long() - limit
        shifts = torch.where(chance_b < self.p, shift_b, 0).tolist()
        moved = [shifted(audio_cn, by, self.fill) for audio_cn, by in zip(audio_bcn, shifts, strict=True)]
        return with_sound(batch, torch.stack(moved))


def shifted(audio_cn: Tensor, by: int, fill: Fill) -> Tensor:
    """Sound that comes `by` samples later, or earlier where that is negative.

    Example:
        >>> audio_cn = torch.tensor([[1.0, 2.0, 3.0]])
        >>> shifted(audio_cn, 1, "silence"), shifted(audio_cn, -1, "circular")
        (tensor([[0., 1., 2.]]), tensor([[2., 3., 1.]]))
    """
    moved = audio_cn.roll(by, dims=-1)
    if fill == "silence" and by:
        moved[..., slice(0, by) if by > 0 else slice(by, None)] = 0
    return moved


def audio_shift(
    *,
    audio: Provided[AudioSpec | None] = None,
    part: Annotated[float, Range(gt=0, le=1)] | None = None,
    seconds: Annotated[float, Range(gt=0, le=3600)] | None = None,
    fill: Fill = "silence",
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
) -> Augment:
    """Move the sound against the pictures, uniformly between the limit earlier and the limit later.

    Args:
        audio: what the sound looks like, from the run; seconds need its rate.
        part: limit as a part of the sound's length; 0.1 where neither limit is given.
        seconds: limit in seconds instead.
        fill: what comes in at the end that gets free: `silence`, or what went out at the other (`circular`).
        p: probability for each sample.

    Raises:
        ParameterError: both limits, seconds without a rate; when used on batches without sound.
    """
    if part is not None and seconds is not None:
        raise ParameterError("audio_shift has a part and seconds", hint="write one of the two")
    if seconds is not None and audio is None:
        raise ParameterError("audio_shift cannot know how many samples a second has", hint="write part instead")
    samples = None if seconds is None or audio is None else round(seconds * audio.rate)
    return AudioShift(0.1 if part is None else part, samples, fill, p)
