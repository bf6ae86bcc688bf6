"""Films and pictures that are made when first used."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.plugins.sources.listing import touch
from zoo_plugins.sources import motions as motions_module
from zoo_plugins.sources.motions import CLASSES, motions
from zoo_plugins.sources.shapes import shapes
from zoo_plugins.sources.written_once import written_once
from zoo_registry.errors import DataError


@pytest.fixture(scope="module")
def few_motions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_motions_are_real_h264_films_of_six_classes(few_motions: Path) -> None:
    source = motions(split="val", cache=few_motions, count=12)
    assert source.labels == CLASSES
    assert Counter(sample.targets["label_b"] for sample in source.samples) == dict.fromkeys(CLASSES, 2)
    with av.open(source.samples[0].media) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height, stream.frames) == ("h264", 64, 64, 16)


def test_motions_are_written_once(few_motions: Path) -> None:
    first = Path(motions(split="val", cache=few_motions, count=12).samples[0].media)
    written = first.stat().st_mtime_ns
    assert Path(motions(split="val", cache=few_motions, count=12).samples[0].media) == first
    assert first.stat().st_mtime_ns == written
    assert Path(motions(split="val", cache=few_motions, count=6).samples[0].media) != first


def test_the_same_seed_gives_the_same_films_and_splits_share_none(tmp_path: Path) -> None:
    films = [
        Path(motions(split=split, cache=tmp_path / cache, count=6, seed=seed).samples[0].media).read_bytes()
        for cache, split, seed in [("a", "train", 0), ("b", "train", 0), ("b", "val", 0), ("b", "train", 1)]
    ]
    assert films[0] == films[1]
    assert len(set(films)) == 3


def displacement(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """(x, y) in pixels by which a picture moved: the peak of the phase correlation, to whole pixels."""
    spectrum = np.fft.fft2(after - after.mean()) * np.conj(np.fft.fft2(before - before.mean()))
    peak = np.unravel_index(np.fft.ifft2(spectrum / (np.abs(spectrum) + 1e-9)).real.argmax(), before.shape)
    y, x = ((at + size // 2) % size - size // 2 for at, size in zip(peak, before.shape, strict=True))
    return float(x), float(y)


@pytest.mark.parametrize(
    ("motion", "direction"), [("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))]
)
def test_films_move_as_their_class_says(motion: str, direction: tuple[int, int]) -> None:
    film = motions_module.film_thwc(motion, 64, 16, torch.Generator().manual_seed(3)).float().mean(dim=-1).numpy()
    window = np.hanning(64)[:, None] * np.hanning(64)[None]
    x, y = displacement(film[4] * window, film[8] * window)
    # 1 to 2 pixels a frame, over 4 frames; nothing across.
    assert 3 <= x * direction[0] + y * direction[1] <= 9
    assert abs(x * direction[1]) + abs(y * direction[0]) <= 1


@pytest.mark.parametrize(
    ("motion", "above", "right"), [("clockwise", (1, 0), (0, 1)), ("counter_clockwise", (-1, 0), (0, -1))]
)
def test_films_turn_as_their_class_says(motion: str, above: tuple[int, int], right: tuple[int, int]) -> None:
    film = motions_module.film_thwc(motion, 128, 16, torch.Generator().manual_seed(3)).float().mean(dim=-1).numpy()
    window = np.hanning(48)[:, None] * np.hanning(48)[None]
    # Turning clockwise the part above the centre goes to the right and the part right of it goes down.
    for (top, left), (x, y) in [((4, 40), above), ((40, 76), right)]:
        patch = film[:, top : top + 48, left : left + 48] * window
        moved = displacement(patch[7], patch[9])
        assert moved[0] * x + moved[1] * y >= 2


@pytest.mark.parametrize("motion", CLASSES)
def test_no_border_comes_into_sight(motion: str) -> None:
    # Outside the texture sampling gives black, which inside it hardly ever fills a corner.
    for seed in range(5):
        film = motions_module.film_thwc(motion, 64, 16, torch.Generator().manual_seed(seed))
        corners = torch.stack([film[:, :3, :3], film[:, -3:, :3], film[:, :3, -3:], film[:, -3:, -3:]])
        assert (corners.float().sum(dim=(2, 3, 4)) > 0).all()


def test_single_frames_look_alike_in_all_classes() -> None:
    """Mean, contrast and sharpness of the first frame agree between classes within the noise of 60 films."""
    statistics = []
    for motion in CLASSES:
        films = [motions_module.film_thwc(motion, 32, 4, torch.Generator().manual_seed(seed)) for seed in range(60)]
        first = torch.stack([film[0] for film in films]).float()
        sharpness = (first[:, 1:] - first[:, :-1]).abs().mean(dim=(1, 2, 3))
        statistics.append(torch.stack([first.mean(dim=(1, 2, 3)), first.std(dim=(1, 2, 3)), sharpness], dim=1))
    by_class = torch.stack(statistics)  # (classes, films, statistics)
    spread = by_class.std(dim=1).mean(dim=0) / 60**0.5
    assert ((by_class.mean(dim=1) - by_class.mean(dim=(0, 1))).abs() < 4 * spread).all()


def test_an_odd_size_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="motions cannot be 33 pixels wide"):
        motions(split="train", cache=tmp_path, size=33)


def test_shapes_are_a_thousand_pictures_of_ten_classes(tmp_path: Path) -> None:
    sources = {split: shapes(split=split, cache=tmp_path) for split in ("train", "val", "test")}
    assert {split: len(source.samples) for split, source in sources.items()} == {"train": 700, "val": 150, "test": 150}
    assert len(sources["train"].labels) == 10
    assert sources["val"].labels == sources["train"].labels
    with av.open(sources["val"].samples[0].media) as container:
        frame = next(container.decode(video=0))
        assert (container.streams.video[0].codec_context.name, frame.width, frame.height) == ("png", 32, 32)


def test_a_folder_whose_writing_failed_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        touch(folder / "half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written_once(tmp_path, "thing", 1, {}, fail)
    assert list((tmp_path / "thing").iterdir()) == []
    made = written_once(tmp_path, "thing", 1, {}, lambda folder: touch(folder / "whole"))
    assert [file.name for file in made.iterdir()] == ["whole"]


def test_a_new_version_of_the_code_writes_anew(tmp_path: Path) -> None:
    folders = {written_once(tmp_path, "thing", version, {}, lambda folder: None) for version in (1, 2)}
    assert len(folders) == 2


def test_two_writers_at_once_agree(tmp_path: Path) -> None:
    def slow(folder: Path) -> None:
        # While this one writes, another finishes.
        written_once(tmp_path, "thing", 1, {}, lambda other: touch(other / "whole"))
        touch(folder / "whole")

    made = written_once(tmp_path, "thing", 1, {}, slow)
    assert [file.name for file in made.iterdir()] == ["whole"]
    assert [child.name for child in (tmp_path / "thing").iterdir()] == [made.name]


def test_declaring_the_sources_imports_nothing_heavy() -> None:
    code = (
        "import sys, zoo_plugins.sources.plugin as plugin;"
        "print(len(list(plugin.zoo_sources())), {'torch', 'av', 'numpy'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout.split()[0]) >= 10
    assert result.stdout.split()[1] == "set()"
