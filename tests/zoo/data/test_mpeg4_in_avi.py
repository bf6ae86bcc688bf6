"""MPEG-4 part 2 in AVI, packed and not: pictures come out in their order, each at its place."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.zoo.data.films import WriteFilm, numbers
from zoo.data import read_clip
from zoo.data.decode.film import open_film
from zoo.data.decode.frames import frames_at
from zoo.data.decode.mpeg4 import in_display_order
from zoo_registry import ClipSpec

FILMS = [
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi",
    "SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi",
    "TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi",
    "test.avi",
    "v_SoccerJuggling_g23_c01.avi",
]


@pytest.mark.parametrize("name", FILMS)
def test_pictures_come_in_the_order_in_which_ffmpeg_shows_them(shared: Path, name: str) -> None:
    path = str(shared / "clips" / name)
    with av.open(path, metadata_errors="ignore") as film:
        plain = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    with av.open(path, metadata_errors="ignore") as film:
        stream = film.streams.video[0]
        stream.codec_context.thread_count = 1
        packets = in_display_order((packet for packet in film.demux(stream) if packet.size), stream)
        frames = [frame for packet in packets for frame in stream.codec_context.decode(packet)]
        frames += stream.codec_context.decode(None)
    assert len(frames) == len(plain)
    assert all(
        np.array_equal(frame.to_ndarray(format="rgb24"), same) for frame, same in zip(frames, plain, strict=True)
    )
    stamps = [frame.pts for frame in frames]
    assert stamps == sorted(set(stamps)), "times go up"
    assert stamps[0] == 0
    assert stamps[-1] - (len(stamps) - 1) <= 1, "one picture a place, but for what the encoder dropped"


@pytest.mark.parametrize("name", FILMS)
def test_every_picture_is_found_by_its_time(shared: Path, name: str) -> None:
    path = shared / "clips" / name
    with av.open(str(path), metadata_errors="ignore") as film:
        plain = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    for number in range(3, len(plain), 11):
        with open_film(path) as film:
            time = film.timeline.origin + (number + 0.5) / film.timeline.fps
            found = next(frames_at(film, [time])).to_ndarray(format="rgb24")
        assert np.array_equal(found, plain[number]), f"frame {number}"


@pytest.mark.parametrize("b_frames", ["0", "1", "2"])
def test_films_with_b_frames_that_are_not_packed(numbered_film: WriteFilm, b_frames: str) -> None:
    film = numbered_film("film.avi", frames=24, codec="mpeg4", options={"bf": b_frames, "g": "8"})
    assert numbers(read_clip(film, ClipSpec(frames=24, size=64))) == list(range(24))
    assert numbers(read_clip(film, ClipSpec(frames=3, stride=5, size=64), position=1.0)) == [13, 18, 23]
