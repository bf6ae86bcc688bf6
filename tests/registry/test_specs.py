"""Specs hold nothing that means nothing, and nothing that would hang or fill the memory; said when they are made."""

from __future__ import annotations

import pytest

from zoo_registry import AudioSpec, ClipSpec
from zoo_registry.errors import ParameterError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"frames": 0}, "clip: frames must be a whole number from 1 to 65536, not 0"),
        ({"frames": 10**9}, "frames must be a whole number from 1 to 65536, not 1000000000"),
        ({"frames": 8.0}, "frames must be a whole number from 1 to 65536, not 8.0"),
        ({"frames": True}, "frames must be a whole number"),
        ({"stride": 0}, "stride must be a whole number from 1 to 65536, not 0"),
        ({"size": 0}, "size must be a whole number from 1 to 16384"),
        ({"size": (64, -1)}, "two of them for height and width, not (64, -1)"),
        ({"size": (64, 64, 64)}, "two of them for height and width, not (64, 64, 64)"),
        ({"size": "large"}, "not 'large'"),
        ({"resize": 0}, "resize must be a whole number from 1 to 16384"),
        ({"size": (10, 1000), "resize": 1000}, "is 1000 x 100000 pixels, more than 16384 on a side"),
        ({"frames": 65536, "size": 224}, "a clip of 65536 frames of 224 x 224 pixels is larger than 2 GiB"),
        ({"fps": 0}, "fps must be above 0 and at most 10000, or None, not 0"),
        ({"fps": 1e9}, "fps must be above 0 and at most 10000, or None, not 1000000000.0"),
        ({"fps": float("nan")}, "fps must be above 0"),
        ({"mean": (0.5, 0.5)}, "mean has 2 numbers and std 3"),
        ({"mean": 0.5}, "mean must have a number for every channel, not 0.5"),
        ({"mean": (), "std": ()}, "mean must have a number for every channel"),
        ({"mean": (float("nan"),) * 3}, "mean must be numbers from -255 to 255"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be numbers from 1e-06 to 255, not (1.0, 0.0, 1.0)"),
        ({"std": (-1.0,) * 3}, "std must be numbers from 1e-06 to 255"),
        ({"sampling": "random"}, "sampling must be one of dense, segments, keyframes, not 'random'"),
        ({"interpolation": "lanczos"}, "interpolation must be one of bilinear, bicubic, area, nearest, not 'lanczos'"),
    ],
)
def test_a_clip_spec_without_meaning_is_refused(given: dict, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        ClipSpec(**{"frames": 8, "size": 64, **given})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rate": 0}, "audio: rate must be a whole number from 1 to 768000, not 0"),
        ({"samples": -1}, "samples must be a whole number from 1 to 134217728"),
        ({"samples": 10**12}, "samples must be a whole number from 1 to 134217728"),
        ({"channels": 3}, "channels must be one of 1, 2, 6, 8, not 3"),
    ],
)
def test_an_audio_spec_without_meaning_is_refused(given: dict, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        AudioSpec(**{"samples": 16000, **given})
    assert said in str(caught.value)


def test_everything_wrong_is_said_at_once_and_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="frames") as caught:
        ClipSpec(frames=0, size=0, fps=-1)
    assert isinstance(caught.value, ParameterError)
    assert len(caught.value.problems) == 3


def test_what_models_want_is_accepted() -> None:
    ClipSpec(frames=1, size=1, mean=(0.5,), std=(1 / 255,), fps=0.5)
    ClipSpec(frames=64, size=(256, 320), resize=(256, 320), fps=60, interpolation="nearest", sampling="keyframes")
    ClipSpec(frames=8, size=448, resize=389)  # timm crops some pictures from a smaller one, in evaluation only
    AudioSpec(rate=48000, samples=10 * 48000, channels=2)
