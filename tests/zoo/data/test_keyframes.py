"""Times of keyframes, and sliding windows."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from PIL import Image

from tests.zoo.data.films import WriteFilm
from zoo.data import keyframes, windows
from zoo_registry.errors import DataError


def decoded_keyframes(path: Path) -> list[float]:
    """What a decoder marks as a keyframe, by frame rate where frames carry no times: another way than packet flags."""
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        frames = list(container.decode(stream))
    origin = next(frame.time for frame in frames if frame.time is not None)
    return [frame.time - origin for frame in frames if frame.key_frame and frame.time is not None]


@pytest.mark.parametrize("every", [1, 4, 7])
def test_keyframes_come_as_often_as_the_encoder_was_told(numbered_film: WriteFilm, every: int) -> None:
    film = numbered_film(frames=20, rate=10, options={"g": str(every), "bf": "2"})
    assert keyframes(film) == pytest.approx([number / 10 for number in range(0, 20, every)])


@pytest.mark.parametrize(
    "name",
    ["clips/bikes.mp4", "clips/SOX5yA1l24A.mp4", "clips/R6llTwEh07w.mp4", "clips/v_SoccerJuggling_g24_c01.avi",
     "decode/h265_video.mp4", "decode/nasa_13013.mp4", "decode/av1_video.mkv"],
)  # fmt: skip
def test_keyframes_of_real_films_are_those_a_decoder_marks(shared: Path, name: str) -> None:
    assert keyframes(shared / name) == pytest.approx(decoded_keyframes(shared / name), abs=1e-6)


def test_keyframes_of_a_variable_frame_rate_are_where_they_are_displayed(numbered_film: WriteFilm) -> None:
    times = [0, 400, 500, 600, 1700, 1800]
    film = numbered_film("late.mkv", frames=6, times=[5000 + time for time in times], options={"g": "2", "bf": "0"})
    assert keyframes(film) == pytest.approx([0.0, 0.5, 1.7])


def test_a_picture_is_a_keyframe(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "black.png")
    assert keyframes(tmp_path / "black.png") == [0.0]


def test_keyframes_are_found_without_decoding(numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.data.decode import frames

    def refuse(*args):
        raise AssertionError("something was decoded")

    monkeypatch.setattr(frames, "_decode", refuse)
    assert keyframes(numbered_film(frames=20, options={"g": "10"})) == pytest.approx([0.0, 1.0])


# ----------------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [(0.0, 0.8), (0.8, 1.6), (1.6, 2.0)]),
        ({"drop_last": True}, [(0.0, 0.8), (0.8, 1.6)]),
        ({"step": 0.4}, [(0.0, 0.8), (0.4, 1.2), (0.8, 1.6), (1.2, 2.0)]),
        ({"step": 1.0}, [(0.0, 0.8), (1.0, 1.8)]),
        ({"start": 0.5, "end": 1.5}, [(0.5, 1.3), (1.3, 1.5)]),
        ({"end": 99.0}, [(0.0, 0.8), (0.8, 1.6), (1.6, 2.0)]),
    ],
)
def test_windows_slide_over_the_film(numbered_film: WriteFilm, arguments, expected) -> None:
    found = windows(numbered_film(frames=20, rate=10), 0.8, **arguments)
    assert [(round(start, 6), round(end, 6)) for start, end in found] == expected


def test_a_film_shorter_than_a_window_is_one_or_none(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=5, rate=10)
    assert windows(film, 4.0) == [(0.0, pytest.approx(0.5))]
    assert windows(film, 4.0, drop_last=True) == []


@pytest.mark.parametrize("seconds", [0.0, -2.0, float("nan")])
def test_a_window_must_last(numbered_film: WriteFilm, seconds: float) -> None:
    with pytest.raises(DataError, match=r"a window lasts .* s, which is no length of time"):
        windows(numbered_film(), seconds)
