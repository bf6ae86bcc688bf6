"""The film that is written: every frame, with the newest answer drawn in."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import zoo
from tests.zoo.data.films import WriteFilm, write_numbered_film
from tests.zoo.streaming.models import Watcher, model_of, numbers_seen
from zoo.data.clips.placement import evaluation_placement
from zoo.streaming.overlay import Caption, Overlay, caption_of
from zoo_registry import ClipSpec
from zoo_registry.errors import ArtefactError, ParameterError, RunError


def frames_of(film: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(film)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_every_frame_is_written_at_its_time(suffix: str, numbered_film: WriteFilm, tmp_path: Path) -> None:
    out = tmp_path / f"seen.{suffix}"
    film = numbered_film(frames=25, rate=10, size=(128, 160))
    live = zoo.stream(model_of(Watcher()), film, real_time=False, drop="none", out=out)
    answers = list(live)
    assert live.summary.unwritten == 0
    written = frames_of(out)
    assert [time for time, _ in written] == pytest.approx([number / 10 for number in range(25)], abs=0.002)
    lower_half = [round(float(picture[100:].mean()) / 10) for _, picture in written]
    assert lower_half == list(range(25))  # where nothing is drawn
    assert len(answers) > 3
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_answers_are_drawn_into_the_frames_that_follow(numbered_film: WriteFilm, tmp_path: Path) -> None:
    film = numbered_film(frames=25, rate=25, size=(128, 160), level=lambda _: 200)
    list(zoo.stream(model_of(Watcher()), film, out=tmp_path / "seen.mp4", stride=2))
    pictures = [picture for _, picture in frames_of(tmp_path / "seen.mp4")]
    assert pictures[0][:20, :40].mean() == pytest.approx(200, abs=3)  # no window was complete
    assert pictures[-1][:20, :40].mean() < 150  # a dark panel
    assert pictures[-1][100:].mean() == pytest.approx(200, abs=3)


def test_a_film_is_whole_when_nobody_closes_the_stream(numbered_film: WriteFilm, tmp_path: Path) -> None:
    live = zoo.stream(model_of(Watcher()), numbered_film(), real_time=False, drop="none", out=tmp_path / "seen.mp4")
    next(live)
    del live
    assert len(frames_of(tmp_path / "seen.mp4")) > 6


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not list a process's threads")
def test_conversions_start_no_threads(numbered_film: WriteFilm, tmp_path: Path) -> None:
    """swscale threads of a frame's own converter live as long as the frame: the garbage collector shall not have to."""
    film, threads = numbered_film(frames=100, rate=25, size=(128, 160), level=lambda _: 100), []
    gc.disable()
    try:
        live = zoo.stream(model_of(Watcher()), film, real_time=False, drop="none", stride=1, out=tmp_path / "seen.mkv")
        for _ in live:
            threads.append(len(os.listdir("/proc/self/task")))
    finally:
        gc.enable()
    assert len(threads) > 80
    assert max(threads) - threads[0] <= 2


def test_a_film_that_changes_its_size_goes_on(tmp_path: Path) -> None:
    """Two streams of different size, one after the other, as cameras do that switch to another resolution."""
    parts = [
        write_numbered_film(tmp_path / f"{number}.h264", 12, size=size, rate=25, options={"bf": "0"})
        for number, size in enumerate([(64, 64), (96, 128)])
    ]
    film = tmp_path / "both.h264"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    network = Watcher()
    list(zoo.stream(model_of(network), film, real_time=False, drop="none", stride=2, out=tmp_path / "seen.mp4"))
    assert [0, 2, 4, 6] in numbers_seen(network)
    assert [4, 6, 8, 10] in numbers_seen(network)
    assert [8, 10, 0, 2] in numbers_seen(network)
    sizes = {picture.shape[:2] for _, picture in frames_of(tmp_path / "seen.mp4")}
    assert sizes == {(64, 64)}


class TestOverlay:
    def test_labels_get_bars_as_long_as_their_scores(self) -> None:
        picture = np.full((200, 300, 3), 255, np.uint8)
        Overlay().draw(picture, Caption((("one", 1.0), ("half", 0.5))))
        green = (picture == (0, 158, 115)).all(2)
        rows = [row.sum() for row in green if row.any()]
        assert rows[0] == pytest.approx(2 * rows[-1], abs=2)

    def test_boxes_lie_where_the_clip_lay_in_the_frame(self) -> None:
        """The middle of a wide frame is what the clip shows; a box around all of it is around the middle."""
        placement = evaluation_placement(ClipSpec(frames=1, size=100), 200, 400)
        caption = caption_of({"found": [{"label": "", "score": None, "box": [0, 0, 100, 100]}]}, placement)
        picture = np.zeros((200, 400, 3), np.uint8)
        Overlay().draw(picture, caption)
        columns = np.flatnonzero(picture[100].any(1))
        assert columns.min() == pytest.approx(100, abs=2)
        assert columns.max() == pytest.approx(300, abs=2)

    def test_labels_of_strangers_are_drawn_whatever_they_hold(self) -> None:
        row = {"top5": [{"label": "a\x1b[2J" + "b" * 500 + "\udcff\n", "score": float("nan")}]}
        placement = evaluation_placement(ClipSpec(frames=1, size=8), 16, 16)
        Overlay().draw(np.zeros((16, 16, 3), np.uint8), caption_of(row, placement))


class TestWhereNothingCanBeWritten:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("seen.gif", "is no name of a film"),
            ("seen", "is no name of a film"),
            ("nowhere/seen.mp4", "there is no folder"),
            ("folder.mp4", "is a folder"),
        ],
    )
    def test_it_is_said_before_anything_starts(
        self, name: str, reason: str, numbered_film: WriteFilm, tmp_path: Path
    ) -> None:
        (tmp_path / "folder.mp4").mkdir()
        network = Watcher()
        with pytest.raises(RunError, match=reason):
            zoo.stream(model_of(network), numbered_film(), out=tmp_path / name)
        assert network.seen == []

    def test_the_film_that_is_read_is_not_written_over(self, numbered_film: WriteFilm) -> None:
        film = numbered_film()
        before = film.read_bytes()
        with pytest.raises(RunError, match="is what is read"):
            zoo.stream(model_of(Watcher()), film, out=film)
        assert film.read_bytes() == before


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may become larger than 64 kB: writing beyond fails, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noisy_film(path: Path) -> Path:
    """A film that no codec makes small."""
    draw = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        for _ in range(150):
            picture = draw.integers(0, 256, (128, 128, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_full_disk_ends_the_stream_with_a_word(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    film, out = noisy_film(tmp_path / "film.mp4"), tmp_path / "seen.mp4"
    request.getfixturevalue("small_files")
    with pytest.raises(RunError, match=r"seen.mp4 cannot be written: File too large"):
        list(zoo.stream(model_of(Watcher()), film, real_time=False, drop="none", out=out))
    assert not out.exists()
    with av.open(str(tmp_path / ".seen.mp4.partial")) as rest:
        assert next(rest.decode(video=0)).width == 128


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"stride": 0}, "stride is 0, at least 1"),
        ({"budget": 0}, "budget is 0, it has to be above 0"),
        ({"budget": float("nan")}, "budget is nan"),
        ({"queue": 0, "seconds": -1}, "(?s)queue is 0.*seconds is -1"),
        ({"reconnect": -1}, "reconnect is -1"),
        ({"drop": "all"}, "drop is 'all'"),
        ({"fallback": model_of(Watcher())}, "a fallback without a budget"),
    ],
)
def test_numbers_that_make_no_sense_are_said_at_once(
    options: dict[str, object], reason: str, numbered_film: WriteFilm
) -> None:
    with pytest.raises(ParameterError, match=reason):
        zoo.stream(model_of(Watcher()), numbered_film(), **options)


def test_a_fallback_needs_the_same_labels(numbered_film: WriteFilm) -> None:
    other = model_of(Watcher())
    other.labels = ("bright", "dark")
    with pytest.raises(ParameterError, match="has other labels than"):
        zoo.stream(model_of(Watcher()), numbered_film(), budget=100, fallback=other)


def test_a_model_of_sound_cannot_watch_a_stream(numbered_film: WriteFilm) -> None:
    model = model_of(Watcher())
    model.inputs = ("clip_bcthw", "audio_bcn")
    with pytest.raises(zoo.ZooError, match="takes clip_bcthw and audio_bcn: a stream gives clips of pictures"):
        zoo.stream(model, numbered_film())
    model.inputs, model.clip = ("audio_bcn",), None
    with pytest.raises(zoo.ZooError, match="takes no clip"):
        zoo.stream(model, numbered_film())


@pytest.mark.parametrize(
    ("name", "task", "params", "reason"),
    [
        ("basic/cnn3d", "contrastive", {}, "the contrastive task reads features"),
        ("basic/cnn3d", "speed_prediction", {}, "the speed_prediction task reads features"),
        ("basic/clip_generator", "gan", {"discriminator": "basic/clip_discriminator"}, "about clips of its own"),
    ],
)
def test_a_task_that_reads_no_answers_to_clips_is_refused_before_the_source_opens(
    name: str, task: str, params: dict[str, object], reason: str
) -> None:
    clip = {"frames": 8, "size": 32}
    model = zoo.load(name, pretrained=False, num_classes=2 if task != "gan" else None, clip=clip)
    model.task = {"name": f"tasks/{task}", "params": params}
    with pytest.raises(ArtefactError, match=f"{name} cannot answer to a stream: .*{reason}") as refused:
        zoo.stream(model, "http://127.0.0.1:1/nobody")
    assert "export" not in str(refused.value)
