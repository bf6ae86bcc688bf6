"""Sources list what is there, and say all that is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from zoo_plugins.sources import motions as motions_module
from zoo_plugins.sources.folder import folder
from zoo_plugins.sources.manifest import manifest
from zoo_plugins.sources.motions import CLASSES, motions
from zoo_plugins.sources.shapes import shapes
from zoo_plugins.sources.written_once import written_once
from zoo_registry.errors import DataError


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def problems_of(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    return [problem.message for problem in caught.value.problems]


# ------------------------------------------------------------------------------------------------------------- folder


def test_a_folder_lists_classes_and_films_in_order(tmp_path: Path) -> None:
    touch(*(tmp_path / "train" / name for name in ("dog/2.MP4", "dog/1.avi", "cat/x.png", "cat/deep/y.webm")))
    source = folder(path=tmp_path, split="train")
    assert source.labels == ["cat", "dog"]
    assert [(sample.key, sample.targets) for sample in source.samples] == [
        ("cat/x.png", {"label_b": "cat"}),
        ("cat/deep/y.webm", {"label_b": "cat"}),
        ("dog/1.avi", {"label_b": "dog"}),
        ("dog/2.MP4", {"label_b": "dog"}),
    ]
    assert all(Path(sample.media).exists() for sample in source.samples)


def test_the_folder_of_a_split_can_be_named_itself(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "cat" / "a.mp4")
    assert folder(path=tmp_path / "train", split="train").labels == folder(path=tmp_path, split="train").labels


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("cat/a.mp4", "cat/.b.mp4", "cat/notes.txt", ".git/c.mp4", "README.md")))
    source = folder(path=tmp_path, split="train")
    assert source.labels == ["cat"]
    assert [sample.key for sample in source.samples] == ["cat/a.mp4"]


def test_every_empty_class_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "cat" / "a.mp4", tmp_path / "dog" / "notes.txt")
    (tmp_path / "owl").mkdir()
    with pytest.raises(DataError) as caught:
        folder(path=tmp_path, split="train")
    assert problems_of(caught) == [
        "class 'dog' has no film or picture, only .txt files",
        "class 'owl' has no film or picture, nothing",
    ]


def test_a_folder_without_classes_counts_the_loose_films(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4", tmp_path / "b.mp4")
    with pytest.raises(DataError, match="it has no folders of classes but 2 files"):
        folder(path=tmp_path, split="train")


def test_a_missing_folder_says_how_far_the_path_goes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder") as caught:
        folder(path=tmp_path / "dta" / "films", split="train")
    assert str(caught.value.problems[0].hint).startswith(f"{tmp_path} is there")


def test_a_missing_split_is_not_taken_for_a_folder_of_classes(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "cat" / "a.mp4", tmp_path / "val" / "cat" / "a.mp4")
    with pytest.raises(DataError, match="it has train and val but no test"):
        folder(path=tmp_path, split="test")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    touch(tmp_path / "labels.csv")
    with pytest.raises(DataError, match="it is a file, not a folder"):
        folder(path=tmp_path / "labels.csv", split="train")


# ----------------------------------------------------------------------------------------------------------- manifest


def write(path: Path, text: str) -> Path:
    touch(path.parent / "a.mp4", path.parent / "b.mp4")
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_manifest_gives_the_rows_of_the_split(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.csv", "path,label,start,end,split\na.mp4,dog,0.5,2,train\nb.mp4,cat,,,val\n")
    source = manifest(path=path, split="train")
    (sample,) = source.samples
    assert (sample.media, sample.targets) == (str(tmp_path / "a.mp4"), {"label_b": "dog"})
    assert (sample.start, sample.end) == (0.5, 2.0)
    assert sample.key == "a.mp4 [0.5 s to 2 s]"
    assert source.labels == ["dog"]


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4", "label": "dog", "start": 0.5}, {"path": "b.mp4", "label": "cat"}]
    path = write(tmp_path / "labels.jsonl", "\n".join(map(json.dumps, rows)))
    source = manifest(path=path, split="train")
    assert [sample.targets["label_b"] for sample in source.samples] == ["dog", "cat"]
    assert source.samples[0].start == 0.5
    assert source.labels == ["cat", "dog"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "path,labels\na.mp4,cat;dog\nb.mp4,owl\n"),
        ("labels.jsonl", '{"path": "a.mp4", "labels": ["cat", "dog"]}\n{"path": "b.mp4", "labels": ["owl"]}\n'),
    ],
)
def test_a_film_can_have_several_labels(tmp_path: Path, name: str, text: str) -> None:
    source = manifest(path=write(tmp_path / name, text), split="train")
    assert [sample.targets["label_bk"] for sample in source.samples] == [["cat", "dog"], ["owl"]]
    assert source.labels == ["cat", "dog", "owl"]


def test_a_spreadsheets_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.csv", "\ufeffpath,label\na.mp4,cat\n")
    assert manifest(path=path, split="train").labels == ["cat"]


def test_every_bad_row_is_reported_with_its_line(tmp_path: Path) -> None:
    text = "path,label,start,end\na.mp4,cat,x,\n,cat,,\nb.mp4,cat,2,1\nb.mp4,cat,-1,\n"
    with pytest.raises(DataError) as caught:
        manifest(path=write(tmp_path / "labels.csv", text), split="train")
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/labels.csv:2:1: start should be seconds from the film's beginning, not 'x'",
        f"{tmp_path}/labels.csv:3:1: the row has no path",
        f"{tmp_path}/labels.csv:4:1: the span from 2 s to 1 s is empty",
        f"{tmp_path}/labels.csv:5:1: start should be seconds from the film's beginning, not '-1'",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.csv", "path,lable\na.mp4,cat\n", r"csv:1:1: unknown column 'lable'\n  did you mean 'label'\?"),
        ("labels.csv", "path,label\na.mp4,cat,dog\n", "csv:2:1: the row has 1 more fields than the header"),
        ("labels.csv", "path,label\n", "this manifest lists nothing"),
        ("labels.csv", "path,label\na.mp4,cat\nb.mp4,\n", "csv:3:1: 1 row has no label, the others do"),
        ("labels.csv", "path,label,split\na.mp4,cat,val\n", "no row is of the split 'train'\n  there are rows of val"),
        ("labels.csv", "path,label\nfilms/a.mp4,cat\n", "none of its 1 files of the train split exists"),
        ("labels.csv", "path,label,labels\na.mp4,cat,dog\n", "the row has both a label and labels"),
        ("labels.jsonl", '{"path": "a.mp4"}\n{"path": \n', r"jsonl:2:\d+: no JSON"),
        ("labels.jsonl", "[1]\n", "jsonl:1:1: a row should be a JSON object"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said_with_its_place(tmp_path: Path, name: str, text: str, message) -> None:
    with pytest.raises(DataError, match=message):
        manifest(path=write(tmp_path / name, text), split="train")


def test_a_manifest_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("path,label\nü.mp4,cat\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        manifest(path=tmp_path / "latin.csv", split="train")
    with pytest.raises(DataError, match="cannot read this manifest: No such file"):
        manifest(path=tmp_path / "nowhere.csv", split="train")


def test_the_shared_films_labels_are_read(shared: Path) -> None:
    train = manifest(path=shared / "clips" / "labels.csv", split="train")
    val = manifest(path=shared / "clips" / "labels.csv", split="val")
    assert (len(train.samples), len(train.labels)) == (12, 10)
    assert val.labels == ["juggling_soccer_ball", "using_segway", "wave"]


# ------------------------------------------------------------------------------------------------------------ motions


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


# --------------------------------------------------------------------------------------------- shapes, caches, plugin


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
    assert result.stdout.strip() == "4 set()"
