"""Films with a keyframe every few frames: what only leads up to a keyframe is not decoded, and nothing else changes."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.zoo.data.films import WriteFilm
from zoo.data.decode import frames
from zoo.data.decode.film import open_film
from zoo.data.decode.frames import frames_at, frames_from

CLOSED = {"g": "6", "bf": "2", "x264-params": "keyint=6:min-keyint=6:scenecut=0:bframes=2"}
OPEN = {"g": "6", "bf": "2", "x264-params": "keyint=6:min-keyint=6:scenecut=0:bframes=2:open-gop=1:b-adapt=0"}


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("film.mp4", "libx264", CLOSED),
        ("film.mp4", "libx264", OPEN),
        ("film.mp4", "mpeg4", CLOSED),
        ("film.avi", "mpeg4", CLOSED),
        ("film.mkv", "mpeg2video", CLOSED),
        ("film.mkv", "libvpx-vp9", {"g": "6"}),
    ],
)
def test_any_two_frames_are_those_of_decoding_everything(
    numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, options: dict[str, str]
) -> None:
    monkeypatch.setattr(frames, "WORTH_A_SEEK", 1000)  # no seek lies between
    path = numbered_film(name, 20, codec=codec, options=options)
    with open_film(path) as film:
        all_of_them = [(time, frame.to_ndarray()) for time, frame in frames_from(film, film.timeline.origin)]
    assert len(all_of_them) == 20
    for one, other in combinations(range(0, 20, 3), 2):
        with open_film(path) as film:
            half = 0.5 / film.timeline.fps
            found = list(frames_at(film, [all_of_them[one][0] + half, all_of_them[other][0] + half]))
        for frame, at in zip(found, (one, other), strict=True):
            assert (frame.to_ndarray() == all_of_them[at][1]).all()


def test_what_only_leads_up_to_a_keyframe_is_not_decoded(
    numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = frames._decode

    def counted(film, packets, wanted):
        decoded.append(len(packets))
        return decode(film, packets, wanted)

    monkeypatch.setattr(frames, "_decode", counted)
    monkeypatch.setattr(frames, "WORTH_A_SEEK", 1000)
    options = {"x264-params": "keyint=6:min-keyint=6:scenecut=0:bframes=0"}
    with open_film(numbered_film("film.mp4", 20, codec="libx264", rate=10, options=options)) as film:
        origin = film.timeline.origin
        list(frames_at(film, [origin + 0.15, origin + 1.35]))
    assert decoded == [2, 2]  # frames 0 and 1, then 12 and 13
