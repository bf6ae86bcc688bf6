"""Sound: the right span, rate and loudness, silence where there is none."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.zoo.data.films import WriteFilm
from zoo.data import read_audio
from zoo_registry import AudioSpec
from zoo_registry.errors import UndecodableMedia

RATE = 16000


@pytest.fixture
def two_tones(tmp_path: Path) -> Path:
    """One second of 440 Hz at half loudness, then one of silence; 16 kHz, 16 bit, mono."""
    tone = 0.5 * np.sin(2 * math.pi * 440 * np.arange(RATE) / RATE)
    samples = np.concatenate([tone, np.zeros(RATE)])
    with wave.open(str(tmp_path / "tones.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return tmp_path / "tones.wav"


def test_sound_comes_back_as_it_was_written(two_tones: Path) -> None:
    audio = read_audio(two_tones, AudioSpec(rate=RATE, samples=RATE), start=0.0, end=1.0)
    expected = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(RATE) / RATE)
    assert audio.shape == (1, RATE)
    assert audio.dtype == torch.float32
    assert (audio[0] - expected).abs().max() < 1e-3


def test_a_span_begins_where_it_should(two_tones: Path) -> None:
    audio = read_audio(two_tones, AudioSpec(rate=RATE, samples=RATE), start=0.75, end=1.75)[0]
    assert audio[: RATE // 4 - 10].abs().max() == pytest.approx(0.5, abs=0.01)
    assert audio[RATE // 4 + 10 :].abs().max() < 1e-3


def test_resampling_keeps_pitch_and_loudness(two_tones: Path) -> None:
    audio = read_audio(two_tones, AudioSpec(rate=8000, samples=8000), start=0.0, end=1.0)[0]
    assert torch.fft.rfft(audio).abs().argmax().item() == 440  # one hertz a bin
    assert audio[100:-100].abs().max() == pytest.approx(0.5, abs=0.01)


def test_mixing_to_stereo_gives_two_channels(two_tones: Path) -> None:
    assert read_audio(two_tones, AudioSpec(rate=RATE, samples=100, channels=2)).shape == (2, 100)


def test_what_lies_behind_the_end_is_silence(two_tones: Path) -> None:
    audio = read_audio(two_tones, AudioSpec(rate=RATE, samples=4 * RATE))
    assert audio.shape == (1, 4 * RATE)
    assert audio[0, 2 * RATE :].abs().max() == 0


def test_the_end_of_the_span_cuts_the_sound(two_tones: Path) -> None:
    audio = read_audio(two_tones, AudioSpec(rate=RATE, samples=RATE), start=0.0, end=0.25)[0]
    assert audio[RATE // 4 :].abs().max() == 0
    assert audio[: RATE // 4].abs().max() > 0.4


def test_a_film_without_sound_says_so(numbered_film: WriteFilm) -> None:
    with pytest.raises(UndecodableMedia, match="it has no sound"):
        read_audio(numbered_film(), AudioSpec(samples=16000))


def test_a_real_films_sound_is_cut_at_the_right_place(shared: Path) -> None:
    path = shared / "clips" / "R6llTwEh07w.mp4"
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", 44100)
        pieces = [piece.to_ndarray() for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
    whole = torch.from_numpy(np.concatenate(pieces, axis=1))
    audio = read_audio(path, AudioSpec(rate=44100, samples=44100), start=4.0, end=5.0)
    assert torch.allclose(audio, whole[:, 4 * 44100 : 5 * 44100], atol=1e-4)
