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

from tests.zoo.data.film_formats import FILMS, NumberedFilm, number_of, write_film
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


# Pixels, by hand and by Pillow ---------------------------------------------------------------------------------------

# (Kr, Kb) of ITU-R BT.601 and BT.709; FFmpeg's numbers for colour space and range.
MATRICES = {"601": (0.299, 0.114, 5), "709": (0.2126, 0.0722, 1)}


@pytest.mark.parametrize("rgb", [(200, 40, 90), (20, 180, 60), (240, 240, 240)])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_colours_are_read_by_the_matrix_and_range_that_the_film_names(
    tmp_path: Path, matrix: str, full: bool, rgb: tuple[int, int, int]
) -> None:
    kr, kb, colour_space = MATRICES[matrix]
    red, green, blue = rgb
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    differences = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    if full:
        planes = luma, differences[0] + 128, differences[1] + 128
    else:
        planes = 16 + luma * 219 / 255, *(128 + difference * 224 / 255 for difference in differences)
    stored = np.empty((3, 64, 64), np.uint8)
    stored[:] = np.round(planes).astype(np.uint8)[:, None, None]
    with av.open(str(tmp_path / "colour.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = colour_space, 2 if full else 1
        frame = av.VideoFrame.from_ndarray(stored, format="yuv444p")
        frame.colorspace, frame.color_range = colour_space, 2 if full else 1
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    shown = read_clip(tmp_path / "colour.mp4", ClipSpec(frames=1, size=64))[:, 0, 32, 32].int().tolist()
    assert shown == pytest.approx(rgb, abs=2)


def test_interlaced_films_are_shown_as_they_are_stored(tmp_path: Path) -> None:
    """Two moments in the odd and even lines of a frame stay there: nothing is deinterlaced."""
    comb = np.zeros((64, 96, 3), np.uint8)
    comb[::2] = 200
    film = write_film(
        tmp_path / "comb.mp4",
        frames=3,
        options={"flags": "+ildct+ilme", "x264-params": "tff=1"},
        draw=lambda *_: comb,
    )
    clip_cthw = read_clip(film.path, ClipSpec(frames=1, size=(64, 96))).float()
    assert clip_cthw[..., ::2, :].mean() == pytest.approx(200, abs=8)
    assert clip_cthw[..., 1::2, :].mean() == pytest.approx(0, abs=8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_pictures_exif_orientation_is_applied_as_pillow_does(tmp_path: Path, suffix: str, orientation: int) -> None:
    from PIL import Image, ImageOps

    stored = np.zeros((48, 80, 3), np.uint8)
    stored[:24, :40], stored[:24, 40:], stored[24:, :40] = (220, 30, 30), (30, 220, 30), (30, 30, 220)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"phone.{suffix}"
    Image.fromarray(stored).save(path, exif=exif, **({"quality": 95, "subsampling": 0} if suffix == "jpg" else {}))
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    shown = read_clip(path, ClipSpec(frames=1, size=expected.shape[:2]))[:, 0].permute(1, 2, 0).numpy()
    assert np.abs(shown.astype(int) - expected).max() <= 6  # two decoders of JPEG round differently


def test_a_gif_that_stores_only_what_changes_is_put_together_as_pillow_does(tmp_path: Path) -> None:
    """Later pictures are transparent where the one before shows through."""
    from PIL import Image, ImageSequence

    layers = []
    for number in range(5):
        layer = Image.new("RGBA", (64, 48), (0, 0, 0, 0) if number else (10, 60, 120, 255))
        layer.paste((250, 40 * number, 30, 255), (8 * number, 6, 8 * number + 10, 30))
        layers.append(layer)
    path = tmp_path / "layers.gif"
    layers[0].save(path, save_all=True, append_images=layers[1:], duration=[100, 50, 200, 100, 100], disposal=1)
    with Image.open(path) as film:
        expected = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    assert len(expected) == 5
    for start, number in [(0.0, 0), (0.12, 1), (0.2, 2), (0.3, 2), (0.4, 3), (0.5, 4)]:
        clip_cthw = read_clip(path, ClipSpec(frames=1, size=(48, 64), fps=INSTANT), start=start, position=0.0)
        assert np.array_equal(clip_cthw[:, 0].permute(1, 2, 0).numpy(), expected[number]), f"at {start} s"
