"""Which frames `read_clip` returns, and what becomes of their pixels."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest
import torch

from tests.zoo.data.films import WriteFilm, numbers
from zoo.data import probe, read_clip, view_position
from zoo.data.clips.clip import read_views
from zoo.data.clips.views import View
from zoo.data.decode.film import open_film
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError


def spec(frames: int = 4, stride: int = 1, size=64, **rest) -> ClipSpec:
    return ClipSpec(frames=frames, stride=stride, size=size, **rest)


def test_a_clip_is_uint8_rgb_in_channels_frames_height_width(numbered_film: WriteFilm) -> None:
    clip = read_clip(numbered_film(size=(48, 64)), spec(frames=5, size=(24, 32)))
    assert clip.dtype == torch.uint8
    assert clip.shape == (3, 5, 24, 32)
    assert clip.is_contiguous()


@pytest.mark.parametrize(("position", "expected"), [(0.0, [0, 2, 4]), (0.5, [8, 10, 12]), (1.0, [15, 17, 19])])
def test_position_moves_the_clip_from_the_first_frame_to_the_last(numbered_film: WriteFilm, position, expected) -> None:
    # 20 frames leave 20 - 5 = 15 places to start; the middle one is 7.5, rounded to even.
    assert numbers(read_clip(numbered_film(), spec(frames=3, stride=2), position=position)) == expected


def test_start_and_end_bound_the_clip(numbered_film: WriteFilm) -> None:
    film = numbered_film(rate=10)
    assert numbers(read_clip(film, spec(frames=3), start=0.5, end=0.8)) == [5, 6, 7]


@pytest.mark.parametrize("keyframes_every", [1, 5, 250])
def test_seeking_finds_the_same_frames_as_decoding_from_the_start(numbered_film: WriteFilm, keyframes_every) -> None:
    film = numbered_film(frames=25, options={"g": str(keyframes_every), "bf": "3"})
    for first in (0, 3, 11, 21):
        clip = read_clip(film, spec(frames=4), start=first / 10, position=0.0)
        assert numbers(clip) == [first, first + 1, first + 2, first + 3]


def test_a_film_shorter_than_the_clip_repeats_its_last_frame(numbered_film: WriteFilm) -> None:
    assert numbers(read_clip(numbered_film(frames=3), spec(frames=6))) == [0, 1, 2, 2, 2, 2]


def test_fps_picks_frames_by_time(numbered_film: WriteFilm) -> None:
    # At 5 per second a film of 10 per second shows every second frame.
    assert numbers(read_clip(numbered_film(rate=10), spec(frames=4, fps=5), position=0.0)) == [0, 2, 4, 6]
    # At 20 per second every frame is on display twice.
    assert numbers(read_clip(numbered_film(rate=10), spec(frames=4, fps=20), position=0.0)) == [0, 0, 1, 1]


def test_a_variable_frame_rate_shows_what_a_viewer_saw(numbered_film: WriteFilm) -> None:
    # Frame 0 stays for 400 ms, frames 1 to 4 for 100 ms each.
    film = numbered_film(frames=5, times=[0, 400, 500, 600, 700])
    assert numbers(read_clip(film, spec(frames=8, fps=10))) == [0, 0, 0, 0, 1, 2, 3, 4]


def test_a_clock_that_starts_late_counts_from_the_first_frame(numbered_film: WriteFilm) -> None:
    film = numbered_film("late.mkv", frames=5, times=[5000, 5100, 5200, 5300, 5400])
    assert numbers(read_clip(film, spec(frames=3), start=0.1, position=0.0)) == [1, 2, 3]


def test_an_edit_list_shows_only_its_part(numbered_film: WriteFilm) -> None:
    """Cut on a phone, a film keeps all its frames; the list says which to show (ISO/IEC 14496-12, 8.6.6)."""
    film = numbered_film(frames=25, rate=5)
    content = bytearray(film.read_bytes())
    entry = content.index(b"elst") + 12  # after the type: version and flags, then the number of entries
    duration, media_time = struct.unpack_from(">Ii", content, entry)
    assert duration == 5000
    ticks = 10240 // 5  # of the track's clock, a frame
    struct.pack_into(">Ii", content, entry, 2000, media_time + 5 * ticks)
    film.write_bytes(content)
    assert probe(film).seconds == pytest.approx(2.0)
    assert numbers(read_clip(film, spec(frames=10))) == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]


def test_avi_without_presentation_times_keeps_display_order(numbered_film: WriteFilm) -> None:
    film = numbered_film("old.avi", frames=20, codec="mpeg4", options={"bf": "2"})
    assert numbers(read_clip(film, spec(frames=20))) == list(range(20))
    assert numbers(read_clip(film, spec(frames=3), start=1.5, position=0.0)) == [15, 16, 17]


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif"])
def test_a_picture_is_a_film_of_one_frame(tmp_path, suffix: str) -> None:
    from PIL import Image

    path = tmp_path / f"100%d.{suffix}"  # a pattern to FFmpeg, a plain name to people
    Image.fromarray(np.full((40, 40, 3), 120, np.uint8)).save(path)
    clip = read_clip(path, spec(frames=3, size=40))
    assert clip.shape == (3, 3, 40, 40)
    assert (clip.int() - 120).abs().max() <= 2


def test_views_that_overlap_are_the_clips_read_one_by_one(numbered_film: WriteFilm) -> None:
    path = numbered_film(frames=25)
    positions = [1.0, 0.0, 0.1, 0.15]
    with open_film(path) as film:
        views = [View(position) for position in positions]
        together = read_views(film, spec(frames=5), views, start=None, end=None, canvas=False)
    for clip, position in zip(together, positions, strict=True):
        assert torch.equal(clip.pixels_cthw, read_clip(path, spec(frames=5), position=position))
    assert together[0].start == pytest.approx(2.0)
    assert together[0].end == pytest.approx(2.5)


def test_evaluation_views_are_spread_evenly() -> None:
    assert [view_position(view, 5) for view in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert view_position(0, 1) == 0.5


def test_a_span_behind_the_end_says_how_long_the_film_is(numbered_film: WriteFilm) -> None:
    with pytest.raises(DataError, match=r"there is nothing from 5 s to 6 s, it lasts 2\.00 s"):
        read_clip(numbered_film(), spec(), start=5, end=6)


def write_quadrants(path, rotate: int | None = None, mirrored: bool = False) -> None:
    """A film of 64 x 32 pixels whose top left quarter is white."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        if rotate is not None:
            stream.set_display_rotation(rotate, hflip=mirrored)
        picture = np.zeros((32, 64, 3), np.uint8)
        picture[:16, :32] = 255
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("counter_clockwise", "size", "white"),
    [
        (0, (32, 64), "top left"),
        (90, (64, 32), "bottom left"),
        (180, (32, 64), "bottom right"),
        (-90, (64, 32), "top right"),
    ],
)
def test_a_rotation_noted_in_the_file_is_applied(tmp_path, counter_clockwise: int, size, white: str) -> None:
    write_quadrants(tmp_path / "phone.mp4", counter_clockwise)
    frame = read_clip(tmp_path / "phone.mp4", spec(frames=1, size=size))[0, 0]
    top, left = (slice(None, 8), slice(-8, None)), (slice(None, 8), slice(-8, None))
    corner = frame[top["bottom" in white], left["right" in white]]
    assert corner.float().mean() > 245
    assert frame.float().mean() == pytest.approx(255 / 4, abs=6)


def test_mirroring_noted_in_the_file_is_applied(tmp_path) -> None:
    write_quadrants(tmp_path / "selfie.mp4", 0, mirrored=True)
    frame = read_clip(tmp_path / "selfie.mp4", spec(frames=1, size=(32, 64)))[0, 0]
    assert frame[:8, -8:].float().mean() > 245


def write_gradient(path, height: int, width: int) -> None:
    """A picture whose red is its column and whose green is its row, in pixels."""
    from PIL import Image

    rows, columns = np.mgrid[:height, :width]
    Image.fromarray(np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)).save(path)


def test_evaluation_takes_the_centre_of_the_resized_frame(tmp_path) -> None:
    write_gradient(tmp_path / "gradient.png", 100, 200)
    clip = read_clip(tmp_path / "gradient.png", spec(frames=1, size=60, resize=100))[:, 0].float()
    # At scale 1 the window of 60 lies at row (100 - 60) / 2 = 20 and column (200 - 60) / 2 = 70.
    assert clip[1, 0, 0] == pytest.approx(20, abs=1)
    assert clip[0, 0, 0] == pytest.approx(70, abs=1)
    assert clip[0, 0, -1] == pytest.approx(129, abs=1)


@pytest.mark.parametrize(("crop", "column"), [((0, 0), 0), ((0.5, 0.5), 50), ((1, 1), 100)])
def test_training_takes_a_window_of_the_canvas(tmp_path, crop, column: int) -> None:
    write_gradient(tmp_path / "gradient.png", 100, 200)
    clip = read_clip(tmp_path / "gradient.png", spec(frames=1, size=80, resize=100), canvas=True, crop=crop)
    assert clip.shape == (3, 1, 100, 100)
    assert clip[0, 0, 50, 0].item() == pytest.approx(column, abs=1)


def test_an_exact_resize_changes_the_shape_of_the_frame(tmp_path) -> None:
    write_gradient(tmp_path / "gradient.png", 100, 200)
    clip = read_clip(tmp_path / "gradient.png", spec(frames=1, size=(50, 50), resize=(50, 50)))
    assert clip[0, 0, 25, -1] > 190  # the whole width is there


def test_a_resize_smaller_than_the_size_is_an_error(tmp_path) -> None:
    write_gradient(tmp_path / "gradient.png", 100, 200)
    with pytest.raises(DataError, match="resized to 32 x 64 and then cropped to 48 x 48"):
        read_clip(tmp_path / "gradient.png", spec(size=48, resize=32))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "area"])
def test_making_a_picture_smaller_averages_over_its_pixels(tmp_path, interpolation: str) -> None:
    from PIL import Image

    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255  # without averaging every pixel would be black or white
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    clip = read_clip(tmp_path / "stripes.png", spec(frames=1, size=32, interpolation=interpolation)).float()
    assert clip.mean() == pytest.approx(127.5, abs=3)
    assert clip[..., 4:-4, 4:-4].std() < 4
