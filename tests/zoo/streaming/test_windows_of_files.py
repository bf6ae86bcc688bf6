"""Which frames of a file make which window, against the clips that `zoo.iter_clips` reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from tests.zoo.data.films import WriteFilm, write_numbered_film
from tests.zoo.streaming.models import FrameWatcher, Watcher, model_of, numbers_seen


def clips_read(film: Path, model: zoo.ZooModel, step: float) -> list[torch.Tensor]:
    """The clips of the same windows, read the other way; the mean and deviation of the models here leave bytes."""
    assert model.clip is not None
    return [clip.pixels_cthw.float() for clip in zoo.iter_clips(film, model.clip, step=step, drop_last=True)]


def assert_same_clips(network: Watcher, clips: list[torch.Tensor]) -> None:
    assert len(clips) > 3
    assert len(network.seen) - len(clips) in (0, 1)  # headers do not always say how long the last frame lasts
    for seen, clip_cthw in zip(network.seen, clips, strict=False):
        torch.testing.assert_close(seen[0], clip_cthw, atol=1e-3, rtol=0)


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 7, 20])
def test_windows_slide_over_a_file_as_clips_do(stride: int, numbered_film: WriteFilm) -> None:
    film, network = numbered_film(frames=25, rate=10), Watcher()
    answers = list(zoo.stream(model_of(network), film, stride=stride, real_time=False, drop="none"))
    starts = range(0, 25 - 7 + 1, stride)
    assert numbers_seen(network) == [[start, start + 2, start + 4, start + 6] for start in starts]
    assert [answer.start for answer in answers] == pytest.approx([start / 10 for start in starts])
    assert [answer.end for answer in answers] == pytest.approx([(start + 7) / 10 for start in starts])
    assert [answer.dropped for answer in answers] == [0] * len(starts)


def test_frames_are_those_that_a_viewer_of_a_film_of_varying_rate_sees(numbered_film: WriteFilm) -> None:
    times = [0, 40, 80, 200, 240, 280, 700, 720, 740, 800, 1000, 1040, 1080, 1120, 1500, 1540, 1600, 1700, 1800, 1900]
    film, network = numbered_film(frames=20, rate=25, times=times), Watcher()
    model = model_of(network, fps=10, stride=2)
    list(zoo.stream(model, film, stride=2, real_time=False, drop="none"))
    assert_same_clips(network, clips_read(film, model, step=0.2))


def test_films_are_resampled_to_the_rate_that_the_model_wants(numbered_film: WriteFilm) -> None:
    film, network = numbered_film(frames=25, rate=25), Watcher()
    model = model_of(network, fps=30, stride=3)
    list(zoo.stream(model, film, stride=2, real_time=False, drop="none"))
    assert_same_clips(network, clips_read(film, model, step=2 / 30))


def test_a_real_film_is_scaled_and_turned_as_everywhere(shared: Path) -> None:
    film, network = shared / "clips" / "v_SoccerJuggling_g23_c01.avi", Watcher()
    model = model_of(network, size=(48, 64), resize=72)
    info = zoo.probe(film)
    list(zoo.stream(model, film, stride=8, real_time=False, drop="none", seconds=4))
    clips = clips_read(film, model, step=8 / info.fps)
    assert_same_clips(network, clips[: len(network.seen)])


def test_a_turned_film_is_shown_upright(tmp_path: Path) -> None:
    film, network = write_numbered_film(tmp_path / "turned.mp4", 20, size=(48, 96), rotate=90), Watcher()
    model = model_of(network, size=(48, 24), resize=(64, 32))
    list(zoo.stream(model, film, stride=2, real_time=False, drop="none"))
    assert_same_clips(network, clips_read(film, model, step=0.2))


def test_a_film_shorter_than_a_window_is_one_window(numbered_film: WriteFilm) -> None:
    network = Watcher()
    (answer,) = zoo.stream(model_of(network), numbered_film(frames=4), real_time=False, drop="none")
    assert numbers_seen(network) == [[0, 2, 3, 3]]
    assert (answer.start, answer.end) == pytest.approx((0.0, 0.7))


def test_frames_of_segments_are_spread_over_the_window(numbered_film: WriteFilm) -> None:
    network = Watcher()
    model = model_of(network, sampling="segments", stride=1)
    list(zoo.stream(model, numbered_film(frames=25), window=2.0, stride=5, real_time=False, drop="none"))
    assert numbers_seen(network) == [[0, 5, 10, 15], [5, 10, 15, 20]]


def test_only_as_many_seconds_are_watched_as_asked_for(numbered_film: WriteFilm) -> None:
    answers = list(zoo.stream(model_of(Watcher()), numbered_film(), seconds=1.0, stride=1, real_time=False))
    assert answers[-1].end <= 1.1


def test_an_answer_reads_as_predict_words_it(numbered_film: WriteFilm) -> None:
    model, film = model_of(Watcher()), numbered_film(frames=7)
    (answer,) = zoo.stream(model, film, real_time=False)
    assert answer.row == model.predict(film)[0]


class TestFramesLookedAtOnce:
    """What networks over frames need not find out again."""

    @pytest.mark.parametrize(
        ("stride", "looked"), [(2, 4 + 9), (1, 25), (4, 4 + 4 * 2), (3, (4 + 3 * 3) + (4 + 2 * 3))]
    )
    def test_a_network_over_frames_sees_each_once(self, stride: int, looked: int, numbered_film: WriteFilm) -> None:
        film, network, plain = numbered_film(frames=25), FrameWatcher(), FrameWatcher(streams=False)
        answers = list(zoo.stream(model_of(network), film, stride=stride, real_time=False, drop="none"))
        expected = list(zoo.stream(model_of(plain), film, stride=stride, real_time=False, drop="none"))
        assert [answer.row for answer in answers] == [answer.row for answer in expected]
        assert plain.looked == 4 * len(expected)
        assert network.looked == looked

    def test_what_a_network_remembers_goes_on_from_window_to_window(self, numbered_film: WriteFilm) -> None:
        network = FrameWatcher(memory=True)
        list(zoo.stream(model_of(network), numbered_film(frames=25), stride=4, real_time=False, drop="none"))
        sums = [sum(10.0 * number for number in range(0, shown + 1, 2)) for shown in range(0, 25, 2)]
        windows = [features[0].tolist() for features in network.seen if features.any()]
        assert windows == [pytest.approx(sums[start : start + 4], abs=1.5 * 13) for start in range(0, 10, 2)]
        assert network.looked == 12

    def test_what_a_network_remembers_ends_where_frames_are_left_out(self, numbered_film: WriteFilm) -> None:
        network = FrameWatcher(memory=True)
        list(zoo.stream(model_of(network), numbered_film(frames=25), stride=10, real_time=False, drop="none"))
        second = [features[0].tolist() for features in network.seen if features.any()][1]
        assert second == pytest.approx([100, 220, 360, 520], abs=6)

    def test_a_network_of_the_catalogue_says_the_same(self, shared: Path) -> None:
        """A real film through a Temporal Segment Network, whole clips against each frame once."""
        model = zoo.load(
            "video/tsn", pretrained=False, num_classes=5, params={"backbone": "test_resnet"}, clip={"size": 64}
        )
        film = shared / "clips" / "basketball.mp4"
        once, whole = (
            list(zoo.stream(model, film, stride=5, window=2.0, real_time=False, drop="none", seconds=4, reuse=reuse))
            for reuse in (True, False)
        )
        assert len(once) == len(whole) > 5
        for ours, theirs in zip(once, whole, strict=True):
            scores = [{row["label"]: row["score"] for row in answer.row["top5"]} for answer in (ours, theirs)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-5)
