"""Scene cuts in films put together from real shots: found to the frame, and none where there is none."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.zoo.data.films import WriteFilm
from zoo.data import scenes
from zoo.data.clips.scene_cuts import _hue_saturation_value
from zoo_registry.errors import DataError

SINGLE_SHOTS = (
    "R6llTwEh07w.mp4", "RATRACE_wave_f_nm_np1_fr_goo_37.avi", "SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi",
    "WUzgd7C1pWA.mp4", "basketball.mp4", "bigbuckbunny.mp4", "carphone_distorted.mp4", "carphone_pristine.mp4",
    "clean_and_jerk.mp4", "cleaning_pool.mp4", "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi",
    "skateboarding.mp4", "ta_chi.mp4", "test.avi", "two_people_1080p.mp4", "v_SoccerJuggling_g23_c01.avi",
    "v_SoccerJuggling_g24_c01.avi",
)  # fmt: skip
"""Clips without a cut, by eye."""

CUTS = {
    "SOX5yA1l24A.mp4": [4.60, 7.31, 9.74],
    "TrumanShow_wave_f_nm_np1_fr_med_26.avi": [19 / 30],
    "arm_wrestling.mp4": [9.57],
    "bikes.mp4": [1.20, 3.04, 5.48, 7.48, 9.68],
}
"""Seconds of the first frame after each cut, by eye."""


def pictures(path: Path, count: int, skip: int = 0) -> list[np.ndarray]:
    """Frames of a film, 160 x 120."""
    with av.open(str(path), metadata_errors="ignore") as container:
        frames = itertools.islice(container.decode(container.streams.video[0]), skip, skip + count)
        return [frame.to_ndarray(width=160, height=120, format="rgb24") for frame in frames]


def write_film(path: Path, frames: list[np.ndarray], rate: int = 25, times: list[int] | None = None) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[number] if times else round(1000 * number / rate)
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cuts(path: Path, **arguments) -> list[float]:
    found = scenes(path, **arguments)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))
    return [start for start, _ in found[1:]]


# ------------------------------------------------------------------------------------------------------- real films


def test_cuts_between_real_shots_are_found_to_the_frame(shared: Path, tmp_path: Path) -> None:
    shots = [
        pictures(shared / "clips" / name, count, skip)
        for name, count, skip in [
            ("basketball.mp4", 31, 0), ("ta_chi.mp4", 40, 10), ("v_SoccerJuggling_g23_c01.avi", 23, 0),
            ("skateboarding.mp4", 50, 40), ("v_SoccerJuggling_g24_c01.avi", 17, 30), ("cleaning_pool.mp4", 29, 0),
            ("WUzgd7C1pWA.mp4", 60, 0), ("two_people_1080p.mp4", 20, 0),
        ]
    ]  # fmt: skip
    film = write_film(tmp_path / "cut.mp4", [picture for shot in shots for picture in shot])
    first_frames = np.cumsum([len(shot) for shot in shots])[:-1]
    assert cuts(film) == pytest.approx([number / 25 for number in first_frames], abs=0.001)


@pytest.mark.parametrize("name", SINGLE_SHOTS)
def test_a_single_shot_has_no_cut(shared: Path, name: str) -> None:
    assert cuts(shared / "clips" / name) == []


@pytest.mark.parametrize("name", CUTS)
def test_films_with_cuts_have_those_that_are_seen(shared: Path, name: str) -> None:
    assert cuts(shared / "clips" / name, shortest=0.3) == pytest.approx(CUTS[name], abs=0.011)


# ------------------------------------------------------------------------------------------------------- made films


def still(level: int, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    picture = np.full((*size, 3), level, np.uint8)
    picture[::8] = 255 - level
    return picture


def test_pictures_that_stand_still_are_scenes(tmp_path: Path) -> None:
    film = write_film(tmp_path / "slides.mp4", [still(20)] * 30 + [still(120)] * 30 + [still(220)] * 30)
    assert cuts(film) == pytest.approx([1.2, 2.4])


def test_a_flash_is_no_cut(tmp_path: Path, shared: Path) -> None:
    shot = pictures(shared / "clips" / "ta_chi.mp4", 40)
    shot[20] = np.full_like(shot[20], 255)
    assert cuts(write_film(tmp_path / "flash.mp4", shot)) == []


def test_frames_shown_twice_do_not_make_motion_a_cut(tmp_path: Path, shared: Path) -> None:
    """Filmed at 12 per second and shown at 24: every other change is none, and the rest looks all the larger."""
    shot = pictures(shared / "clips" / "skateboarding.mp4", 60)
    film = write_film(tmp_path / "twice.mp4", [picture for picture in shot for _ in range(2)], rate=60)
    assert cuts(film) == []


def test_the_shortest_scene_is_kept_to(tmp_path: Path) -> None:
    film = write_film(tmp_path / "quick.mp4", [still(20)] * 30 + [still(120)] * 5 + [still(220)] * 30)
    assert cuts(film, shortest=0.1) == pytest.approx([1.2, 1.4])
    assert cuts(film, shortest=0.5) == pytest.approx([1.2])


def test_a_higher_threshold_finds_fewer(tmp_path: Path) -> None:
    film = write_film(tmp_path / "grey.mp4", [still(20)] * 30 + [still(120)] * 30)
    # Saturation and hue of grey are 0: the change is (100 in brightness) / 3, about 33.
    assert cuts(film, threshold=30) == pytest.approx([1.2])
    assert cuts(film, threshold=36) == []


def test_cuts_of_a_variable_frame_rate_are_where_the_frame_is_displayed(tmp_path: Path) -> None:
    times = [40 * number for number in range(10)] + [1000 + 100 * number for number in range(10)]
    film = write_film(tmp_path / "variable.mkv", [still(20)] * 10 + [still(200)] * 10, times=times)
    assert cuts(film) == pytest.approx([1.0], abs=0.001)


def test_only_the_asked_part_is_looked_at(tmp_path: Path) -> None:
    film = write_film(tmp_path / "slides.mp4", [still(20)] * 30 + [still(120)] * 30 + [still(220)] * 30)
    found = scenes(film, start=1.6, end=3.0)
    assert found == [(1.6, pytest.approx(2.4)), (pytest.approx(2.4), 3.0)]


def test_a_picture_and_a_film_of_one_frame_are_one_scene(tmp_path: Path, numbered_film: WriteFilm) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "black.png")
    assert scenes(tmp_path / "black.png") == [(0.0, pytest.approx(1 / 25))]
    assert scenes(numbered_film(frames=1, rate=10)) == [(0.0, pytest.approx(0.1))]


def test_a_negative_threshold_is_refused(numbered_film: WriteFilm) -> None:
    with pytest.raises(DataError, match=r"threshold is -1, it cannot be negative"):
        scenes(numbered_film(), threshold=-1)


def test_colours_are_those_of_another_library() -> None:
    """Pillow's HSV has 0..255 for all three; ours has half degrees of hue, as OpenCV."""
    random = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    ours = _hue_saturation_value(random)
    theirs = np.asarray(Image.fromarray(random).convert("HSV")).astype(int).transpose(2, 0, 1)
    hue = np.abs(ours[0] * 255 / 180 - theirs[0])
    assert np.minimum(hue, 255 - hue).max() <= 3
    assert np.abs(ours[1] - theirs[1]).max() <= 1
    assert np.array_equal(ours[2], theirs[2])
