"""Clips of a long film in one pass: what they show, how much is kept, and when they come."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.zoo.data.films import WriteFilm, numbers
from zoo.data import iter_clips, read_clip, windows
from zoo.data.clips.clip import Clip
from zoo.data.decode.film import Film, open_film
from zoo.data.decode.frames import LONGEST_STRETCH, frames_at, frames_from
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError, UndecodableMedia

REAL = [
    "clips/bikes.mp4",
    "clips/carphone_pristine.mp4",
    "clips/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "clips/v_SoccerJuggling_g23_c01.avi",
    "decode/h265_video.mp4",
    "decode/av1_video.mkv",
]
"""H.264 with B-frames, packed DivX, Xvid, H.265 and AV1."""


def spec(frames: int = 4, **rest) -> ClipSpec:
    return ClipSpec(frames=frames, **{"size": 64, **rest})


def shown(clips) -> list[list[int]]:
    return [numbers(clip.pixels_cthw) for clip in clips]


def spans(clips) -> list[tuple[float, float]]:
    return [(round(clip.start, 3), round(clip.end, 3)) for clip in clips]


# ------------------------------------------------------------------------------------------------------ which frames


def test_windows_lie_side_by_side_and_show_every_frame_once(numbered_film: WriteFilm) -> None:
    clips = list(iter_clips(numbered_film(frames=12), spec(frames=4)))
    assert shown(clips) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert spans(clips) == [(0.0, 0.4), (0.4, 0.8), (0.8, 1.2)]


def test_with_a_stride_every_so_manyth_frame_is_shown_once(numbered_film: WriteFilm) -> None:
    assert shown(iter_clips(numbered_film(frames=16), spec(frames=4, stride=2))) == [[0, 2, 4, 6], [8, 10, 12, 14]]


def test_a_step_makes_windows_overlap(numbered_film: WriteFilm) -> None:
    assert shown(iter_clips(numbered_film(frames=8), spec(frames=4), step=0.2)) == [
        [0, 1, 2, 3],
        [2, 3, 4, 5],
        [4, 5, 6, 7],
    ]


def test_a_last_window_cut_short_repeats_its_last_frame_or_is_dropped(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=6)
    assert shown(iter_clips(film, spec(frames=4))) == [[0, 1, 2, 3], [4, 5, 5, 5]]
    assert shown(iter_clips(film, spec(frames=4), drop_last=True)) == [[0, 1, 2, 3]]


def test_start_and_end_bound_the_windows(numbered_film: WriteFilm) -> None:
    clips = iter_clips(numbered_film(frames=20, rate=10), spec(frames=2), start=0.5, end=1.1)
    assert shown(clips) == [[5, 6], [7, 8], [9, 10]]


def test_segments_are_those_of_each_window(numbered_film: WriteFilm) -> None:
    clips = iter_clips(numbered_film(frames=20, rate=10), spec(frames=2, sampling="segments"), seconds=1.0)
    # Segments of five frames, their middles.
    assert shown(clips) == [[2, 7], [12, 17]]


def test_keyframes_are_those_of_each_window(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=20, rate=10, options={"g": "5"})
    clips = iter_clips(film, spec(frames=2, sampling="keyframes"), seconds=1.0)
    assert shown(clips) == [[0, 5], [10, 15]]


def test_three_crops_follow_each_other_for_each_window(tmp_path: Path) -> None:
    columns = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))
    Image.fromarray(np.stack([columns] * 3, axis=-1)).save(tmp_path / "columns.png")
    clips = list(iter_clips(tmp_path / "columns.png", spec(frames=1, size=32), crops=3))
    assert [clip.pixels_cthw[0, 0, 16, 0].item() for clip in clips] == pytest.approx([0, 64, 128], abs=2)
    assert [clip.placement.corner for clip in clips] == [(0, 0), (0, 16), (0, 32)]


def test_pictures_and_films_of_one_frame_are_one_clip(tmp_path: Path, numbered_film: WriteFilm) -> None:
    Image.fromarray(np.full((40, 40, 3), 120, np.uint8)).save(tmp_path / "grey.png")
    assert [tuple(clip.pixels_cthw.shape) for clip in iter_clips(tmp_path / "grey.png", spec(size=32))] == [
        (3, 4, 32, 32)
    ]
    assert shown(iter_clips(numbered_film(frames=1), spec(frames=2))) == [[0, 0]]


def test_a_variable_frame_rate_shows_what_a_viewer_saw(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=5, times=[0, 400, 500, 600, 700])
    assert shown(iter_clips(film, spec(frames=4, fps=10))) == [[0, 0, 0, 0], [1, 2, 3, 4]]


@pytest.mark.parametrize("step", [None, 0.31, 3.0])
@pytest.mark.parametrize("name", REAL)
def test_clips_are_those_of_read_clip_at_their_spans(shared: Path, name: str, step: float | None) -> None:
    clip_spec = ClipSpec(frames=4, stride=3, size=56)
    clips = list(iter_clips(shared / name, clip_spec, step=step))
    assert clips
    for clip in clips:
        again = read_clip(shared / name, clip_spec, start=clip.start, end=clip.end)
        assert torch.equal(again, clip.pixels_cthw)


@pytest.mark.parametrize("sampling", ["dense", "segments", "keyframes"])
def test_clips_of_longer_windows_are_those_of_read_clip(shared: Path, sampling: str) -> None:
    path = shared / "clips" / "bikes.mp4"
    clip_spec = ClipSpec(frames=4, stride=2, size=56, fps=12.5, sampling=sampling)
    clips = iter_clips(path, clip_spec, seconds=3.0, step=2.0)
    for clip, (start, end) in zip(clips, windows(path, 3.0, step=2.0), strict=True):
        assert torch.equal(read_clip(path, clip_spec, start=start, end=end), clip.pixels_cthw)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize(("begins", "every"), [(0.0, 1), (0.0, 4), (0.6, 3)])
def test_frames_by_their_times_are_those_of_decoding_everything(
    shared: Path, name: str, begins: float, every: int
) -> None:
    with open_film(shared / name) as film:
        line = film.timeline
        first = int(begins * line.seconds * line.fps)
        times = [
            line.origin + (number + 0.5) / line.fps for number in range(first, int(line.seconds * line.fps), every)
        ]
        found = [bytes(frame.planes[0]) for frame in frames_at(film, iter(times))]
    with open_film(shared / name) as film:
        everything = [(at, bytes(frame.planes[0])) for at, frame in frames_from(film, film.timeline.origin)]
    starts = [at for at, _ in everything]
    assert found == [everything[max(0, bisect_right(starts, time) - 1)][1] for time in times]


def test_all_frames_from_a_time_on_begin_with_the_one_on_display(numbered_film: WriteFilm) -> None:
    with open_film(numbered_film(frames=20, rate=10, options={"g": "6", "bf": "2"})) as film:
        times = [time - film.timeline.origin for time, _ in frames_from(film, film.timeline.origin + 0.75)]
    assert times == pytest.approx([number / 10 for number in range(7, 20)])


# ------------------------------------------------------------------------------------------- once, bounded, at once


@pytest.fixture
def packets_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every packet that is read from a film."""
    read: list[int] = []
    given = Film.packets

    def counted(film: Film):
        for packet in given(film):
            read.append(packet.dts or 0)
            yield packet

    monkeypatch.setattr(Film, "packets", counted)
    return read


def test_overlapping_windows_decode_every_frame_once(numbered_film: WriteFilm, packets_read: list[int]) -> None:
    film = numbered_film(frames=20, rate=10)
    clips = list(iter_clips(film, spec(frames=8), step=0.1))
    assert len(clips) == 13
    assert len(packets_read) == 20


def test_the_first_clip_comes_before_the_film_is_read(numbered_film: WriteFilm, packets_read: list[int]) -> None:
    film = numbered_film(frames=1500, rate=10, size=(32, 32), options={"g": "50"}, level=lambda number: number % 250)
    clips = iter_clips(film, spec(frames=4, size=32))
    next(clips)
    assert len(packets_read) < LONGEST_STRETCH + 50 + 20  # up to the next keyframe, and what x264 reorders
    list(clips)
    assert 1500 <= len(packets_read) < 1.02 * 1500, "what is read twice is what x264 reorders, at each stretch"


def test_long_gaps_are_passed_over(numbered_film: WriteFilm, packets_read: list[int]) -> None:
    film = numbered_film(frames=240, rate=10, size=(32, 32), options={"g": "10"}, level=lambda number: number)
    clips = list(iter_clips(film, spec(frames=2, size=32), step=8.0))
    levels = [[round(level) for level in clip.pixels_cthw.float().mean(dim=(0, 2, 3)).tolist()] for clip in clips]
    assert np.abs(np.array(levels) - [[0, 1], [80, 81], [160, 161]]).max() <= 1
    assert len(packets_read) < 120


def resident_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc, which only Linux has")
def test_memory_stays_the_same_over_a_long_film(numbered_film: WriteFilm) -> None:
    frames, size = 3000, 160
    film = numbered_film(frames=frames, rate=30, size=(size, size), level=lambda number: number % 250)
    clips = iter_clips(film, spec(frames=16, size=size), step=0.1)
    for _ in itertools.islice(clips, 50):
        pass
    before, peak = resident_mib(), 0.0
    for count, _ in enumerate(clips):
        if count % 50 == 0:
            peak = max(peak, resident_mib())
    all_frames = frames * size * size * 3 / 2**20  # 220 MiB
    assert count > 900
    assert peak - before < all_frames / 10


# ------------------------------------------------------------------------------------------------------------ errors


def test_a_span_shorter_than_half_a_frame_is_the_clip_that_read_clip_gives(numbered_film: WriteFilm) -> None:
    film = numbered_film("film.mp4", 20, rate=10)
    (clip,) = iter_clips(film, ClipSpec(frames=2, size=64), start=0.5, end=0.54)
    assert numbers(clip.pixels_cthw) == numbers(read_clip(film, ClipSpec(frames=2, size=64), start=0.5, end=0.54))
    assert windows(film, 1.0, start=0.5, end=0.54) == [(0.5, 0.54)]
    assert windows(film, 1.0, start=0.5, end=0.54, drop_last=True) == []


def test_a_length_must_be_given_where_frames_are_spread_over_it(numbered_film: WriteFilm) -> None:
    with pytest.raises(DataError, match=r"segments are spread over a window, and nothing says how long one is"):
        iter_clips(numbered_film(), spec(sampling="segments"))


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_must_be_a_length_of_time(numbered_film: WriteFilm, step: float) -> None:
    with pytest.raises(DataError, match=r"the step between windows lasts .* s, which is no length of time"):
        iter_clips(numbered_film(), spec(), step=step)


def test_a_span_behind_the_end_says_how_long_the_film_is(numbered_film: WriteFilm) -> None:
    with pytest.raises(DataError, match=r"there is nothing from 5 s to its end, it lasts 2\.00 s"):
        list(iter_clips(numbered_film(), spec(), start=5.0))


def test_a_cut_off_film_is_no_film_of_fewer_clips(numbered_film: WriteFilm, tmp_path: Path) -> None:
    content = numbered_film("whole.mkv", frames=60, rate=10, level=lambda number: 4 * number).read_bytes()
    (tmp_path / "half.mkv").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(UndecodableMedia, match=r"half\.mkv: it is cut off: .* s, of 6\.0 s"):
        list(iter_clips(tmp_path / "half.mkv", spec()))


def test_a_clip_says_what_it_shows(numbered_film: WriteFilm) -> None:
    (clip, *_) = iter_clips(numbered_film(), spec())
    assert isinstance(clip, Clip)
    assert clip.pixels_cthw.dtype == torch.uint8
    assert clip.pixels_cthw.is_contiguous()
