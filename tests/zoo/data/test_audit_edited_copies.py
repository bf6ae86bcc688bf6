"""Which edited copies of real films are found: the table of docs/audit.md is made of this."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.zoo.data.faulty_films import pictures_of
from zoo.data.audit.duplicates import Fingerprints
from zoo.data.audit.reading import Job, SpanLook, look_at

FILMS = ("basketball.mp4", "skateboarding.mp4", "arm_wrestling.mp4", "v_SoccerJuggling_g23_c01.avi")
FRAMES, RATE = 75, 25
Pictures = list[np.ndarray]


def write(
    path: Path, pictures: Pictures, *, codec: str = "libx264", rate: Fraction | int = RATE, **options: str
) -> Path:
    """Film of (height, width, 3) uint8 pictures."""
    options = {"preset": "ultrafast"} | options if codec.startswith("libx26") else options
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = pictures[0].shape[0] // 2 * 2, pictures[0].shape[1] // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            even = np.ascontiguousarray(picture[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return path


def scaled(pictures: Pictures, height: int, width: int) -> Pictures:
    frames = (av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24") for picture in pictures)
    return [frame.reformat(width=width, height=height).to_ndarray(format="rgb24") for frame in frames]


def cropped(pictures: Pictures, part: float) -> Pictures:
    """Without `part` of the height and of the width."""
    top, left = (int(side * part / 2) for side in pictures[0].shape[:2])
    return [picture[top : picture.shape[0] - top, left : picture.shape[1] - left] for picture in pictures]


def barred(pictures: Pictures, part: float, *, upright: bool = False) -> Pictures:
    """With black bars above and below, or at the sides, that have `part` of the height or width of the picture."""
    bar = int(pictures[0].shape[upright] * part / 2)
    around = ((0, 0), (bar, bar), (0, 0)) if upright else ((bar, bar), (0, 0), (0, 0))
    return [np.pad(picture, around) for picture in pictures]


def captioned(pictures: Pictures) -> Pictures:
    """White lines where subtitles are."""
    height, width = pictures[0].shape[:2]
    copies = [picture.copy() for picture in pictures]
    for picture in copies:
        picture[height * 17 // 20 : height * 19 // 20, width // 6 : width * 5 // 6 : 3] = 255
    return copies


def with_logo(pictures: Pictures) -> Pictures:
    """A white patch in a corner, 15 % by 20 %."""
    height, width = pictures[0].shape[:2]
    copies = [picture.copy() for picture in pictures]
    for picture in copies:
        picture[height // 20 : height // 5, width * 3 // 4 : width * 19 // 20] = 255
    return copies


Edit = Callable[[Pictures, Path], Path]
"""Writes an edited copy of pictures."""

FOUND: dict[str, Edit] = {
    "x264 at a low bit rate (crf 40)": lambda pictures, path: write(path, pictures, crf="40"),
    "HEVC": lambda pictures, path: write(
        path, pictures, codec="libx265", crf="32", **{"x265-params": "log-level=0:pools=1:frame-threads=1"}
    ),
    "MPEG-4, coarse": lambda pictures, path: write(path, pictures, codec="mpeg4", qmin="14", qmax="14"),
    "half the size": lambda pictures, path: write(path, scaled(pictures, 90, 120)),
    "a quarter of the size": lambda pictures, path: write(path, scaled(pictures, 46, 60)),
    "squeezed to a square": lambda pictures, path: write(path, scaled(pictures, 128, 128)),
    "half the frame rate": lambda pictures, path: write(path, pictures[::2], rate=Fraction(RATE, 2)),
    "played faster by 1.25": lambda pictures, path: write(path, pictures, rate=Fraction(5 * RATE, 4)),
    "grey": lambda pictures, path: write(
        path, [picture.mean(axis=2, keepdims=True).astype(np.uint8).repeat(3, axis=2) for picture in pictures]
    ),
    "brighter, with more contrast": lambda pictures, path: write(
        path, [np.clip(picture * 1.25 + 15, 0, 255).astype(np.uint8) for picture in pictures]
    ),
    "bars of 12 % above and below": lambda pictures, path: write(path, barred(pictures, 0.12)),
    "bars of a third at the sides": lambda pictures, path: write(path, barred(pictures, 0.33, upright=True)),
    "subtitles": lambda pictures, path: write(path, captioned(pictures)),
    "2 % of each side cropped": lambda pictures, path: write(path, cropped(pictures, 0.02)),
    "2 % cut off at both ends": lambda pictures, path: write(path, pictures[2:-2]),
}

SOMETIMES: dict[str, Edit] = {
    "a logo": lambda pictures, path: write(path, with_logo(pictures)),
    "10 % cut off at both ends": lambda pictures, path: write(path, pictures[8:-8]),
}

NOT_FOUND: dict[str, Edit] = {
    "mirrored": lambda pictures, path: write(path, [picture[:, ::-1] for picture in pictures]),
    "upside down": lambda pictures, path: write(path, [picture[::-1] for picture in pictures]),
    "backwards": lambda pictures, path: write(path, pictures[::-1]),
    "20 % of each side cropped": lambda pictures, path: write(path, cropped(pictures, 0.2)),
    "the first half alone": lambda pictures, path: write(path, pictures[: FRAMES // 2]),
}


@pytest.fixture(scope="module")
def originals(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Pictures, SpanLook]]:
    """Three seconds of real films, and what an audit keeps of them."""
    folder = tmp_path_factory.mktemp("originals")
    films = {}
    for name in FILMS:
        pictures = [*itertools.islice(pictures_of(shared / "clips" / name, width=240, height=180), FRAMES)]
        films[name] = pictures, looked(write(folder / f"{name}.mp4", pictures, crf="18"))
    return films


def looked(film: Path) -> SpanLook:
    (look,) = look_at(Job(str(film), ((None, None),))).spans
    assert not look.reason
    return look


def found(originals: dict[str, tuple[Pictures, SpanLook]], folder: Path, edit: Edit) -> list[str]:
    """The films of which the edited copy is found; no two different films are taken for copies."""
    looks: Sequence[SpanLook] = [look for _, look in originals.values()]
    looks = [*looks, *(looked(edit(pictures, folder / f"{name}.mkv")) for name, (pictures, _) in originals.items())]
    prints = Fingerprints.empty(len(looks))
    for number, look in enumerate(looks):
        prints.put(number, look.hashes, look.pictures, look.contrasts)
    pairs = [(copy.one, copy.other) for copy in prints.find(np.arange(len(looks)))]
    assert all(other - one == len(originals) for one, other in pairs), f"other films taken for copies: {pairs}"
    return [name for at, name in enumerate(originals) if (at, at + len(originals)) in pairs]


@pytest.mark.parametrize("name", FOUND)
def test_found(originals: dict[str, tuple[Pictures, SpanLook]], tmp_path: Path, name: str) -> None:
    assert found(originals, tmp_path, FOUND[name]) == list(FILMS)


@pytest.mark.parametrize("name", SOMETIMES)
def test_found_of_some_films(originals: dict[str, tuple[Pictures, SpanLook]], tmp_path: Path, name: str) -> None:
    assert 0 < len(found(originals, tmp_path, SOMETIMES[name])) < len(FILMS)


@pytest.mark.parametrize("name", NOT_FOUND)
def test_not_found(originals: dict[str, tuple[Pictures, SpanLook]], tmp_path: Path, name: str) -> None:
    assert found(originals, tmp_path, NOT_FOUND[name]) == []


def test_the_documentation_names_every_edit() -> None:
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    rows = {
        line.split("|")[1].strip(): line.split("|")[2].strip() for line in page.splitlines() if line.count("|") == 3
    }
    assert {name: rows.get(name) for name in FOUND} == dict.fromkeys(FOUND, "found")
    assert {name: rows.get(name) for name in SOMETIMES} == dict.fromkeys(SOMETIMES, "of some films")
    assert {name: rows.get(name) for name in NOT_FOUND} == dict.fromkeys(NOT_FOUND, "not found")
