"""`folder` lists what is there, and says all that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.plugins.sources.listing import problems_of, touch
from zoo.data import read_clip
from zoo_plugins.sources.folder import folder
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError


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


def test_pictures_exported_as_cifar_usually_is_are_read(tmp_path: Path) -> None:
    """`train/airplane/0001.png`: pictures of 32 x 32, a folder for every class."""
    classes = ["airplane", "automobile", "bird"]
    for split, count in (("train", 3), ("test", 2)):
        for value, name in enumerate(classes):
            for number in range(1, count + 1):
                file = tmp_path / split / name / f"{number:04d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((32, 32, 3), 80 * value, np.uint8)).save(file)
    train, test = (folder(path=tmp_path, split=split) for split in ("train", "test"))
    assert (len(train.samples), len(test.samples), train.labels) == (9, 6, classes)
    assert test.samples[5].key == "bird/0002.png"
    clip = read_clip(test.samples[5].media, ClipSpec(frames=1, size=32))
    assert clip.shape == (3, 1, 32, 32)
    assert clip.unique().tolist() == [160]
