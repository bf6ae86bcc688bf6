"""Which frames a clip is made of, for every way of sampling, and which part of them each view shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.zoo.data.films import WriteFilm, numbers
from zoo.data import Loader, Split, keyframes, read_clip
from zoo.data.clip_changes import changed_clip
from zoo.data.clips.clip import read_views
from zoo.data.clips.placement import evaluation_placement
from zoo.data.clips.slots import segments
from zoo.data.clips.views import View, evaluation_view
from zoo.data.decode import frames
from zoo.data.decode.film import open_film
from zoo.data.loading.draws import frame_draws
from zoo.recipe import load_recipe
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError, RecipeError
from zoo_registry.protocols import Sample

SAMPLINGS = ("dense", "segments", "keyframes")


def spec(frames: int = 4, **rest) -> ClipSpec:
    return ClipSpec(frames=frames, **{"size": 64, **rest})


def views_of(path: Path, clip: ClipSpec, views: list[View]) -> list[list[int]]:
    with open_film(path) as film:
        return [numbers(read.pixels_cthw) for read in read_views(film, clip, views, start=None, end=None, canvas=False)]


# ---------------------------------------------------------------------------------------------------------- segments


def tsn_middles(count: int, frames: int) -> list[int]:
    """TSN's test indices (MMAction2, `SampleFrames(clip_len=1, test_mode=True)`): tick * x + tick / 2, truncated."""
    tick = count / float(frames)
    return (np.arange(frames) * tick + tick / 2.0).astype(np.int64).tolist()


@pytest.mark.parametrize(("count", "frames"), [(25, 8), (300, 8), (300, 25), (7, 3), (8, 8), (3, 8), (1, 4), (251, 16)])
def test_evaluation_shows_the_middles_of_equal_segments(count: int, frames: int) -> None:
    assert segments(count, frames, [0.5] * frames) == tsn_middles(count, frames)


def test_a_film_in_segments_shows_those_frames(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=20)
    # Four segments of five frames: 0-4, 5-9, 10-14, 15-19.
    assert numbers(read_clip(film, spec(sampling="segments"))) == [2, 7, 12, 17]


def test_drawn_frames_stay_in_their_segments_and_all_are_equally_likely() -> None:
    count, frames, clips = 10, 4, 4000
    seen: Counter[int] = Counter()
    for index in range(clips):
        chosen = segments(count, frames, frame_draws(0, 0, index, 0, frames))
        for at, slot in enumerate(chosen):
            assert at * count // frames <= slot < -(-(at + 1) * count // frames)
        seen.update(chosen)
    # Each of 10 frames is expected 1600 times; five standard deviations of a binomial are below 190.
    assert all(abs(seen[slot] - clips * frames / count) < 190 for slot in range(count))


def test_both_ends_of_a_segment_belong_to_it() -> None:
    assert segments(20, 4, [0.0] * 4) == [0, 5, 10, 15]
    assert segments(20, 4, [1.0] * 4) == [4, 9, 14, 19]


def test_the_frames_of_one_clip_are_drawn_independently() -> None:
    drawn = np.array([frame_draws(3, 1, index, 0, 2) for index in range(2000)])
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1
    assert frame_draws(3, 1, 7, 0, 8) == frame_draws(3, 1, 7, 0, 8)
    assert frame_draws(3, 1, 7, 0, 8) != frame_draws(3, 2, 7, 0, 8)


def test_segments_follow_time_where_films_are_resampled(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=20, rate=10)
    # At 5 per second two seconds are 10 slots; the middles of two segments of 5 are slots 2 and 7: frames 4 and 14.
    assert numbers(read_clip(film, spec(frames=2, sampling="segments", fps=5))) == [4, 14]


def test_segments_of_a_variable_frame_rate_are_segments_of_time(numbered_film: WriteFilm) -> None:
    # Frame 0 stays for 400 ms, frames 1 to 4 for 100 ms each: of two halves of 400 ms the middles are 200 and 600 ms.
    film = numbered_film(frames=5, times=[0, 400, 500, 600, 700])
    assert numbers(read_clip(film, spec(frames=2, sampling="segments", fps=10))) == [0, 3]


def test_segments_far_apart_are_the_frames_next_to_each_other_would_give(numbered_film: WriteFilm) -> None:
    """Far apart, frames are searched for instead of decoding all between; the film has a keyframe every 1.2 s."""
    film = numbered_film(frames=120, rate=10, size=(32, 32), options={"g": "12"}, level=lambda number: 2 * number)
    clip = read_clip(film, spec(frames=3, sampling="segments", size=32))
    shown = (clip.float().mean(dim=(0, 2, 3)) / 2).round().int().tolist()
    assert shown == [20, 60, 100]


# --------------------------------------------------------------------------------------------------------- keyframes


def test_keyframes_are_shared_out_evenly(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=24, options={"g": "4", "bf": "2"})
    # Keyframes 0, 4, 8, 12, 16 and 20; of three pairs the second each: floor((i + 0.5) * 6 / 3) = 1, 3, 5.
    assert numbers(read_clip(film, spec(frames=3, sampling="keyframes"))) == [4, 12, 20]


def test_fewer_keyframes_than_frames_are_repeated_in_order(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=20, options={"g": "10"})
    assert numbers(read_clip(film, spec(frames=4, sampling="keyframes"))) == [0, 0, 10, 10]


def test_a_span_without_a_keyframe_shows_its_first_frame(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=20, rate=10, options={"g": "10"})
    assert numbers(read_clip(film, spec(frames=2, sampling="keyframes"), start=0.3, end=0.9)) == [3, 3]


def test_nothing_between_keyframes_is_decoded(numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bool] = []
    decode = frames._decode

    def spy(film, packets, wanted):
        packets = list(packets)
        decoded.extend(packet.is_keyframe for packet in packets)
        return decode(film, packets, wanted)

    monkeypatch.setattr(frames, "_decode", spy)
    film = numbered_film(frames=60, options={"g": "20"}, level=lambda number: 4 * number)
    read_clip(film, spec(frames=3, sampling="keyframes"))
    assert decoded == [True, True, True]


# ------------------------------------------------------------------------------------------------------ every sampling


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_spans_bound_every_sampling(numbered_film: WriteFilm, sampling: str) -> None:
    film = numbered_film(frames=25, rate=10, options={"g": "5"})
    shown = numbers(read_clip(film, spec(frames=2, sampling=sampling), start=0.5, end=1.5))
    assert all(5 <= number < 15 for number in shown)
    # dense: the middle of 9 places is 4; segments of 5: frames 2 and 7 of the span; keyframes 5 and 10.
    assert shown == {"dense": [9, 10], "segments": [7, 12], "keyframes": [5, 10]}[sampling]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_spans_may_end_behind_the_film_but_not_begin_there(numbered_film: WriteFilm, sampling: str) -> None:
    film = numbered_film(frames=20, rate=10, options={"g": "5"})
    clip = spec(frames=2, sampling=sampling)
    assert torch.equal(read_clip(film, clip, start=1.0, end=99.0), read_clip(film, clip, start=1.0))
    with pytest.raises(DataError, match=r"there is nothing from 2\.5 s to 3 s, it lasts 2\.00 s"):
        read_clip(film, clip, start=2.5, end=3.0)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_picture_and_a_film_of_one_frame_fill_the_clip(tmp_path, numbered_film: WriteFilm, sampling: str) -> None:
    Image.fromarray(np.full((40, 40, 3), 120, np.uint8)).save(tmp_path / "grey.png")
    clip = read_clip(tmp_path / "grey.png", spec(frames=3, size=40, sampling=sampling))
    assert clip.shape == (3, 3, 40, 40)
    assert (clip.int() - 120).abs().max() <= 2
    assert numbers(read_clip(numbered_film(frames=1), spec(frames=3, sampling=sampling))) == [0, 0, 0]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_three_frames_fill_a_clip_of_five_in_order(numbered_film: WriteFilm, sampling: str) -> None:
    shown = numbers(read_clip(numbered_film(frames=3, options={"g": "1"}), spec(frames=5, sampling=sampling)))
    assert shown == sorted(shown)
    assert set(shown) == {0, 1, 2}


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_training_draws_follow_from_seed_epoch_and_sample(numbered_film: WriteFilm, sampling: str) -> None:
    path = str(numbered_film(frames=25, size=(32, 32), options={"g": "3"}))
    split = Split("train", [Sample(path, {"label_b": "a"}) for _ in range(6)], ("a",))

    def epoch(number: int, seed: int = 0, workers: int = 0) -> list[torch.Tensor]:
        loader = Loader(split, inputs=("clip_bcthw",), clip=spec(frames=3, size=32, sampling=sampling), batch=2,
                        train=True, seed=seed, workers=workers)  # fmt: skip
        clips = [batch.inputs["clip_bcthw"] for batch in loader.epoch(number)]
        loader.close()
        return clips

    first = torch.cat(epoch(0))
    assert torch.equal(first, torch.cat(epoch(0)))
    assert torch.equal(first, torch.cat(epoch(0, workers=2)))
    assert not torch.equal(first, torch.cat(epoch(1)))
    assert not torch.equal(first, torch.cat(epoch(0, seed=1)))
    shown = [numbers(clip) for clip in first]
    assert len({tuple(clip) for clip in shown}) > 2  # samples of the same film differ
    assert all(clip == sorted(clip) for clip in shown)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_several_views_read_in_one_go_are_those_read_one_by_one(shared: Path, sampling: str) -> None:
    path = shared / "clips" / "v_SoccerJuggling_g23_c01.avi"
    clip = spec(frames=4, stride=4, size=56, sampling=sampling)
    views = [evaluation_view(number, clips=3, crops=3, sampling=sampling) for number in range(9)]
    with open_film(path) as film:
        together = read_views(film, clip, views, start=None, end=None, canvas=False)
    for view, read in zip(views, together, strict=True):
        with open_film(path) as film:
            (alone,) = read_views(film, clip, [view], start=None, end=None, canvas=False)
        assert torch.equal(alone.pixels_cthw, read.pixels_cthw)


def test_keyframes_of_a_real_film_are_its_keyframes(shared: Path) -> None:
    path = shared / "clips" / "bikes.mp4"
    times = keyframes(path)
    clip = read_clip(path, spec(frames=len(times), size=64, sampling="keyframes"))
    for at, time in enumerate(times):
        assert torch.equal(clip[:, at], read_clip(path, spec(frames=1, size=64), start=time, position=0.0)[:, 0])


# ------------------------------------------------------------------------------------------------------ views and crops


def test_views_of_segments_lie_within_them(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=16)
    views = [evaluation_view(number, clips=2, sampling="segments") for number in range(2)]
    # Segments of eight frames; a quarter and three quarters into them.
    assert views_of(film, spec(frames=2, sampling="segments"), views) == [[2, 10], [6, 14]]


@pytest.mark.parametrize(
    ("height", "width", "corners"),
    [
        # Short side 32, as PySlowFast's uniform_crop: at the ends and in the middle of the longer side.
        (32, 64, [(0, 0), (0, 16), (0, 32)]),
        (64, 32, [(0, 0), (16, 0), (32, 0)]),
        (32, 32, [(0, 0), (0, 0), (0, 0)]),
    ],
)
def test_three_crops_lie_along_the_longer_side(height: int, width: int, corners) -> None:
    clip = spec(size=32, resize=32)
    views = [evaluation_view(number, clips=1, crops=3) for number in range(3)]
    assert [evaluation_placement(clip, height, width, view.along).corner for view in views] == corners


def test_the_shorter_side_is_cropped_in_the_middle_for_all_three() -> None:
    clip = spec(size=224, resize=256)
    corners = [evaluation_placement(clip, 256, 340, along).corner for along in (0.0, 0.5, 1.0)]
    assert corners == [(16, 0), (16, 58), (16, 116)]


def test_rows_of_a_batch_are_clips_with_their_crops(tmp_path: Path, numbered_film: WriteFilm) -> None:
    path = str(numbered_film(frames=10, size=(32, 64)))
    split = Split("val", [Sample(path, {"label_b": "a"})] * 2, ("a",))
    clip = spec(frames=2, size=32)
    loader = Loader(split, inputs=("clip_bcthw",), clip=clip, batch=2, views=2, crops=3, train=False, workers=0)
    (batch,) = loader.epoch(0)
    assert loader.views == 6
    assert batch.index.tolist() == [0] * 6 + [1] * 6
    assert batch.view.tolist() == [0, 1, 2, 3, 4, 5] * 2
    shown = [numbers(row) for row in batch.inputs["clip_bcthw"]]
    assert shown == ([[0, 1]] * 3 + [[8, 9]] * 3) * 2
    for view in range(6):
        assert torch.equal(loader.clip(0, view), batch.inputs["clip_bcthw"][view])


def test_crops_show_left_centre_and_right(tmp_path: Path) -> None:
    columns = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))
    Image.fromarray(np.stack([columns] * 3, axis=-1)).save(tmp_path / "columns.png")
    split = Split("val", [Sample(str(tmp_path / "columns.png"), {})], ())
    clip = spec(frames=1, size=32)
    loader = Loader(split, inputs=("clip_bcthw",), clip=clip, batch=1, crops=3, train=False, workers=0)
    (batch,) = loader.epoch(0)
    left_edges = batch.inputs["clip_bcthw"][:, 0, 0, 16, 0].tolist()
    assert left_edges == pytest.approx([0, 16 * 4, 32 * 4], abs=2)


def test_a_film_is_decoded_once_for_all_its_crops(numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.data.clips import clip as module

    asked: list[int] = []
    read = module.frames_at

    def spy(film, times):
        asked.append(len(times))
        return read(film, times)

    monkeypatch.setattr(module, "frames_at", spy)
    split = Split("val", [Sample(str(numbered_film(frames=10, size=(32, 64))), {})], ())
    clip = spec(frames=4, size=32)
    loader = Loader(split, inputs=("clip_bcthw",), clip=clip, batch=1, crops=3, train=False, workers=0)
    list(loader.epoch(0))
    assert asked == [4]


# ------------------------------------------------------------------------------------------------------------ recipes

RECIPE = {
    "zoo": 1,
    "task": "classification",
    "model": "torchvision/r3d_18",
    "data": {"views": 10, "crops": 3, "clip": {"sampling": "segments"}},
}


def test_a_recipe_says_how_clips_are_sampled_and_cropped() -> None:
    data = load_recipe(RECIPE).schema.data
    assert (data.views, data.crops, data.clip.sampling) == (10, 3, "segments")
    changed = changed_clip(spec(stride=2), data.clip.model_dump(exclude_none=True))
    assert changed == spec(stride=2, sampling="segments")


@pytest.mark.parametrize("change", ["data.crops=2", "data.clip.sampling=random"])
def test_another_number_of_crops_or_sampling_is_refused(change: str) -> None:
    with pytest.raises(RecipeError, match=change.partition("=")[0].rpartition(".")[2]):
        load_recipe(RECIPE, [change])
