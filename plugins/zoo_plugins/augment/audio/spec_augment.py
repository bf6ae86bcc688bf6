"""Stripes of the spectrogram, silenced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.audio.sound import AUDIO, sound_of, with_sound
from zoo_plugins.augment.audio.stft import spectrogram, waveform
from zoo_plugins.augment.audio.stripes import draw_stripes, kept
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch

SPECTROGRAM = "spectrogram_bcft"

Part = Annotated[float, Range(ge=0, le=1)]
Count = Annotated[int, Range(ge=0, le=64)]


@dataclass(frozen=True)
class SpecAugment:
    """See `spec_augment`."""

    frequency_masks: int
    frequency_part: float
    time_masks: int
    time_part: float
    window: int

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with stripes of its own taken from every sample's sound."""
        if SPECTROGRAM not in batch.inputs:
            sound_of(batch, "spec_augment")
        frequencies = draw_stripes(len(batch), self.frequency_masks, self.frequency_part, generator)
        times = draw_stripes(len(batch), self.time_masks, self.time_part, generator)
        if SPECTROGRAM in batch.inputs:
            given = batch.inputs[SPECTROGRAM]
            mean = given.mean(dim=(1, 2, 3), keepdim=True)
            masked = torch.where(_mask(given, frequencies, times), given, mean)
            batch = replace(batch, inputs={**batch.inputs, SPECTROGRAM: masked})
        if AUDIO in batch.inputs:
            audio_bcn = batch.inputs[AUDIO]
            length = audio_bcn.shape[-1]
            if length < self.window:
                raise ParameterError(
                    f"spec_augment cannot look through a window of {self.window} samples at {length} samples of sound",
                    hint=f"set window to at most {length - length % 4}",
                )
            spectrum = spectrogram(audio_bcn, self.window)
            masked = torch.where(_mask(spectrum, frequencies, times), spectrum, torch.zeros_like(spectrum))
            batch = with_sound(batch, waveform(masked, self.window, length))
        return batch


def _mask(like_bcft: Tensor, frequencies: Tensor, times: Tensor) -> Tensor:
    """(B, 1, F, T) bool, where a spectrogram stays, on its device."""
    frequency_bf, time_bt = kept(frequencies, like_bcft.shape[2]), kept(times, like_bcft.shape[3])
    mask = frequency_bf[:, None, :, None] & time_bt[:, None, None, :]
    return mask.to(like_bcft.device, non_blocking=True)


def spec_augment(
    *,
    frequency_masks: Count = 2,
    frequency_part: Part = 0.25,
    time_masks: Count = 2,
    time_part: Part = 0.1,
    window: Annotated[int, Range(ge=16, le=16384)] = 512,
) -> Augment:
    """Take stripes of frequencies and of times out of the sound (SpecAugment, Park et al. 2019, section 2).

    Models here take waveforms: these are transformed (Hann window, hop of a quarter of it), masked and transformed
    back, so the stripes are silent. A batch that has `spectrogram_bcft` has the same stripes taken out of it too, by
    the mean of the sample's spectrogram, which the paper's is normalised to have at 0. Time is not warped.

    Args:
        frequency_masks: how many stripes of frequencies.
        frequency_part: greatest width of one as a part of all frequencies; widths are uniform from 0.
        time_masks: how many stripes of times.
        time_part: greatest width of one as a part of the sound's length.
        window: of the transform in samples, a multiple of 4; 512 is 32 ms at 16 kHz.

    Raises:
        ParameterError: a window that is no multiple of 4; when used on batches without sound, or shorter than a window.
    """
    if window % 4:
        raise ParameterError(f"window is {window}", hint=f"write a multiple of 4, such as {window - window % 4}")
    return SpecAugment(frequency_masks, frequency_part, time_masks, time_part, window)
