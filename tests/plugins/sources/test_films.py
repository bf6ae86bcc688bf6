"""`films` lists what is there without labels, and says all that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.sources.listing import problems_of, touch
from zoo_plugins.sources.films import films
from zoo_registry.errors import DataError


def test_films_are_listed_at_any_depth_with_their_names(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b.mp4", "a/deep/x.PNG", "notes.txt", ".hidden.mp4", ".git/y.mp4")))
    source = films(path=tmp_path, split="train")
    assert [(sample.key, sample.targets["film"]) for sample in source.samples] == [
        ("a/deep/x.PNG", "a/deep/x"),
        ("b.mp4", "b"),
    ]
    assert list(source.labels) == []


def test_a_folder_of_the_split_goes_first(tmp_path: Path) -> None:
    touch(tmp_path / "val" / "a.mp4", tmp_path / "train" / "b.mp4")
    assert [sample.key for sample in films(path=tmp_path, split="val").samples] == ["a.mp4"]


def test_names_choose_and_times_repeats(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.mp4", "b.mp4", "c/d.png")))
    source = films(path=tmp_path, names=["a.mp4", "*.png"], times=2, split="train")
    assert [sample.key for sample in source.samples] == ["a.mp4", "c/d.png"] * 2


def test_one_film_is_a_list_of_one(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    (sample,) = films(path=tmp_path / "a.mp4", split="val").samples
    assert (sample.media, sample.targets) == (str(tmp_path / "a.mp4"), {"film": "a"})


def test_what_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        films(path=tmp_path / "nothing", split="val")
    with pytest.raises(DataError, match="no film or picture"):
        films(path=tmp_path, split="val")
    touch(tmp_path / "a.mp4")
    with pytest.raises(DataError) as caught:
        films(path=tmp_path, names=["b.mp4", "*.png"], split="val")
    assert problems_of(caught) == ["no film is called 'b.mp4'", "no film is called '*.png'"]
