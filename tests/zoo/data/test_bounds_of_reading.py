"""No file takes more than its time, nor more memory than a part of it, whatever is wanted of it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.zoo.data.films import WriteFilm
from zoo.data import probe, read_audio
from zoo.data.decode import frames
from zoo.data.decode.film import Decoder, open_film
from zoo.data.decode.frames import frames_at, frames_from
from zoo.data.decode.keyframe_times import keyframe_stamps
from zoo_registry import AudioSpec
from zoo_registry.errors import UndecodableMedia

TOO_LONG = "decoding it takes longer than 1e-09 s"
HURRIED = Decoder(time_limit=1e-9)


def test_a_film_whose_header_is_silent_is_not_searched_for_ever(numbered_film: WriteFilm) -> None:
    path = numbered_film("film.h264")
    with pytest.raises(UndecodableMedia, match=TOO_LONG), open_film(path, HURRIED):
        pytest.fail("it was opened")


def test_keyframes_are_not_looked_for_for_ever(numbered_film: WriteFilm) -> None:
    with open_film(numbered_film(), HURRIED) as film, pytest.raises(UndecodableMedia, match=TOO_LONG):
        keyframe_stamps(film)


def test_sound_is_not_decoded_for_ever(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UndecodableMedia, match=TOO_LONG):
        read_audio(tmp_path / "a.wav", AudioSpec(rate=8000, samples=8000), decoder=HURRIED)


@pytest.mark.parametrize("name", ["film.h264", "film.mp4", "film.avi"])
def test_what_is_too_much_to_hold_is_decoded_from_the_beginning(
    numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = numbered_film(name, 20, codec="mpeg4" if name.endswith("avi") else "libx264", options={"g": "8"})
    moments = (0.05, 0.35, 1.25, 1.95)

    def shown() -> list[np.ndarray]:
        with open_film(path) as film:
            at = [film.timeline.origin + moment * 10 / film.timeline.fps for moment in moments]
            found = [frame.to_ndarray() for frame in frames_at(film, at)]
        with open_film(path) as film:
            return [*found, *(frame.to_ndarray() for _, frame in frames_from(film, at[2]))]

    held = shown()
    monkeypatch.setattr(frames, "MOST_HELD", 500)
    with open_film(path) as film:
        assert frames._packets_for(film, film.timeline.origin, film.timeline.origin + 9.0) is None
    found = shown()
    assert len(found) == len(held) == len(moments) + 8
    assert all((one == other).all() for one, other in zip(held, found, strict=True))


def test_frames_are_counted_when_asked_for(numbered_film: WriteFilm, tmp_path: Path) -> None:
    with (
        av.open(str(numbered_film("whole.mp4", 20, options={"bf": "0"}))) as film,
        av.open(str(tmp_path / "cut.mkv"), "w") as cut,
    ):
        stream = cut.add_stream_from_template(film.streams.video[0])
        for packet in [packet for packet in film.demux(video=0) if packet.size][:13]:
            packet.stream = stream
            cut.mux(packet)
    assert probe(tmp_path / "cut.mkv", count=True).frames == 13
    assert probe(tmp_path / "whole.mp4", count=True).frames == probe(tmp_path / "whole.mp4").frames == 20
