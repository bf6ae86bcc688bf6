"""The frame on display at a time, in every format: against numbers in the pixels and against plain decoding."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from tests.zoo.data.film_formats import FILMS, NumberedFilm, number_of
from zoo.data import probe, read_clip
from zoo.data.decode.film import open_film
from zoo.data.decode.frames import frames_at
from zoo_registry import ClipSpec

SEED = 3
INSTANT = 2000.0
"""Slots per second: a slot is looked at half of it later, so a clip of one frame shows the moment `start` + 0.25 ms."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


@cache
def written(name: str, folder: Path) -> NumberedFilm:
    own = folder / f"{list(FILMS).index(name)}"
    own.mkdir()
    return FILMS[name](own)


@pytest.fixture(params=list(FILMS))
def film(request: pytest.FixtureRequest, folder: Path) -> NumberedFilm:
    film = written(request.param, folder)
    if request.param == "animated WebP" and len(plainly_decoded(film.path)) < len(film.numbers):
        pytest.skip("FFmpeg cannot decode animated WebP here")
    return film


@cache
def plainly_decoded(path: Path) -> tuple[np.ndarray, ...]:
    """All frames of a film, decoded one after the other from the beginning; none where FFmpeg cannot."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.best("video")
            stream.codec_context.thread_count = 1
            return tuple(frame.to_ndarray(format="rgb24") for frame in container.decode(stream))
    except av.error.FFmpegError:
        return ()


def shown_at(film: NumberedFilm, times: list[float]) -> list[int | None]:
    """Numbers of the frames on display at ascending times, in one pass."""
    with open_film(film.path) as opened:
        origin = opened.timeline.origin
        return [
            number_of(frame.to_ndarray(format="rgb24"))
            for frame in frames_at(opened, [origin + time for time in times])
        ]


def moments(film: NumberedFilm, count: int = 12) -> list[float]:
    """Random times, none so near to a change of frames that rounding decides; and the first and the last frame."""
    draw = random.Random(SEED)
    last = min(film.times[-1] + 0.002, probe(film.path).seconds - 0.001)  # some headers end where it begins
    times = [0.0, last]
    while len(times) < count:
        time = draw.choice([draw.choice(film.times) + 0.002, draw.uniform(0, film.times[-1])])
        if not film.edge_near(time + 0.00025):
            times.append(time)
    return times


# Which frame ---------------------------------------------------------------------------------------------------------


def test_plain_decoding_shows_what_was_written(film: NumberedFilm) -> None:
    """What the other tests here stand on; no part of the zoo."""
    assert [number_of(frame) for frame in plainly_decoded(film.path)] == list(film.numbers)


def test_one_pass_shows_every_frame(film: NumberedFilm) -> None:
    assert shown_at(film, [time + 0.0004 for time in film.times]) == list(film.numbers)


def test_a_frame_stays_until_the_next_one(film: NumberedFilm) -> None:
    # A frame that lasts a millisecond only has no time "shortly before the next".
    times = [time - 0.0015 for time in film.times[1:] if not film.edge_near(time - 0.0015, within=0.0014)]
    assert shown_at(film, times) == [film.at(time) for time in times]


def test_times_may_repeat_and_lie_outside(film: NumberedFilm) -> None:
    first, last = film.numbers[0], film.numbers[-1]
    end = film.seconds + 5
    assert shown_at(film, [-1.0, -1.0, 0.0, end, end, end]) == [first, first, first, last, last, last]


def test_any_moment_alone_shows_what_a_viewer_saw(film: NumberedFilm) -> None:
    """Each read opens and seeks for itself; pixels equal those of plain decoding bit for bit."""
    spec = ClipSpec(frames=1, size=film.size, fps=INSTANT)
    decoded = plainly_decoded(film.path)
    for time in moments(film):
        clip_cthw = read_clip(film.path, spec, start=time, position=0.0)
        shown = clip_cthw[:, 0].permute(1, 2, 0).numpy()
        expected = film.at(time + 0.00025)
        assert number_of(film.as_stored(shown)) == expected, f"at {time} s"
        assert np.array_equal(shown, film.displayed(decoded[film.numbers.index(expected)])), f"at {time} s"


@pytest.mark.parametrize("fps", [50, 10])
def test_a_clip_samples_the_film_by_time(film: NumberedFilm, fps: float) -> None:
    """At 50 a second most frames come twice, at 10 some are left out."""
    draw = random.Random(SEED)
    mean = probe(film.path).fps
    spec = ClipSpec(frames=5, stride=2, size=film.size, fps=fps)
    span = 9 / fps
    done = 0
    while done < 4:
        start = draw.uniform(0, max(0.0, film.times[-1] - span))
        looked = [start + 2 * at / fps + 0.5 / max(fps, mean) for at in range(5)]
        if any(film.edge_near(time) for time in looked):
            continue
        clip_cthw = read_clip(film.path, spec, start=start, position=0.0)
        shown = [number_of(film.as_stored(frame)) for frame in clip_cthw.permute(1, 2, 3, 0).numpy()]
        assert shown == [film.at(time) for time in looked], f"from {start} s"
        done += 1


def test_the_length_is_known_to_a_frame(film: NumberedFilm) -> None:
    longest = max(next_ - this for this, next_ in zip(film.times, film.times[1:], strict=False))
    uneven = len({round(next_ - this, 3) for this, next_ in zip(film.times, film.times[1:], strict=False)}) > 2
    # How long the last frame of an uneven film stays is not stored; a mean frame or none at all is as good.
    slack = 0.15 if uneven else longest + 0.001
    assert probe(film.path).seconds == pytest.approx(film.seconds, abs=slack)


# Real films ----------------------------------------------------------------------------------------------------------


def display_times(path: Path) -> list[float]:
    """When each frame of a film is displayed, in seconds from the first, by decoding it whole."""
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        frames, stored = [], []
        for packet in container.demux(stream):
            if packet.size > 16:  # smaller ones stand where a frame was dropped, or packed into another packet
                stored.append(packet.dts)
            frames += [frame.pts for frame in packet.decode()]
        base = float(stream.time_base)
        if container.format.name == "avi":  # knows no times, only places; sorting them undoes the order of decoding
            frames = sorted(stored) if len(stored) == len(frames) else list(range(len(frames)))
    return [(stamp - frames[0]) * base for stamp in frames]


def empty_places(path: Path) -> int:
    """In AVI, how many places hold no picture: a decoder loses them, a viewer sees the frame before a little longer."""
    with av.open(str(path), metadata_errors="ignore") as container:
        if container.format.name != "avi":
            return 0
        stored = sum(packet.size > 0 for packet in container.demux(container.streams.best("video")))
    return stored - len(display_times(path))


def plain_frames(path: Path, wanted: set[int]) -> dict[int, np.ndarray]:
    """The wanted ones of a film's frames, by their place in order of display; all are decoded."""
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        return {
            number: frame.to_ndarray(format="rgb24")
            for number, frame in enumerate(container.decode(stream))
            if number in wanted
        }


def check_moments(path: Path, count: int) -> None:
    """At random times our frame is plain decoding's, bit for bit."""
    times = display_times(path)
    draw = random.Random(f"{SEED} {path.name}")
    asked: list[float] = [times[0], times[-1] + 0.001]
    while len(asked) < count:
        time = draw.uniform(0, times[-1])
        if min(abs(time - edge) for edge in times) > 0.001:
            asked.append(time)
    answers = [bisect_right(times, time + 0.0005) - 1 for time in asked]
    late = empty_places(path)
    expected = plain_frames(path, {number - by for number in answers for by in range(late + 1)})
    size = next(iter(expected.values())).shape[:2]
    spec = ClipSpec(frames=1, size=(size[0], size[1]), fps=INSTANT)
    for time, number in zip(asked, answers, strict=True):
        clip_cthw = read_clip(path, spec, start=time, position=0.0)
        shown = clip_cthw[:, 0].permute(1, 2, 0).numpy()
        allowed = [expected[number - by] for by in range(late + 1) if number - by in expected]
        assert any(np.array_equal(shown, frame) for frame in allowed), f"{path.name} at {time} s is not frame {number}"
    for shown, number in zip(in_one_pass(path, sorted(asked)), sorted(answers), strict=True):
        allowed = [expected[number - by] for by in range(late + 1) if number - by in expected]
        assert any(np.array_equal(shown, frame) for frame in allowed), f"{path.name}, in one pass: not frame {number}"


def in_one_pass(path: Path, times: list[float]) -> Iterator[np.ndarray]:
    with open_film(path) as film:
        for frame in frames_at(film, [film.timeline.origin + time + 0.00025 for time in times]):
            yield frame.to_ndarray(format="rgb24")


QUICK = [
    "clips/ta_chi.mp4",
    "clips/carphone_distorted.mp4",
    "clips/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "clips/v_SoccerJuggling_g23_c01.avi",
    "decode/av1_video.mkv",
    "decode/h264_10bits.mp4",
    "decode/h265_10bits.mp4",
    "decode/h265_video.mp4",
    "decode/bt709_full_range.mp4",
]


@pytest.mark.parametrize("name", QUICK)
def test_real_films_show_plain_decodings_frames(shared: Path, name: str) -> None:
    check_moments(shared / name, 6)


@pytest.mark.slow
def test_all_real_films_show_plain_decodings_frames_at_thirty_times(shared: Path) -> None:
    films = [path for path in sorted((shared / "clips").iterdir()) if path.suffix in {".mp4", ".avi"}]
    films += [path for path in sorted((shared / "decode").iterdir()) if path.suffix in {".mp4", ".mkv"}]
    assert len(films) == 27
    for path in films:
        check_moments(path, 30)
