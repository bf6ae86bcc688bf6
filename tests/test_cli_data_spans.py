"""`zoo data spans` and `zoo data keyframes`: what they write, and what they refuse."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.zoo.data.films import numbers, write_numbered_film
from zoo.build import build
from zoo.cli import cli
from zoo.data import open_split, read_clip
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog
from zoo_registry.errors import DataError, ZooError


def zoo(*words: object) -> Result:
    return CliRunner().invoke(cli, ["data", *map(str, words)], catch_exceptions=True)


def refused(*words: object) -> ZooError:
    error = zoo(*words).exception
    assert isinstance(error, ZooError), error
    return error


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def samples(path: Path, split: str = "train"):
    source = build(catalog().resolve("source", "manifest"), {"path": str(path)}, {"split": split})
    return open_split(source, split)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two seconds at 10 frames per second, a keyframe every 0.5 s, a cut from dark to bright at 1 s."""
    level = lambda number: 10 * number if number < 10 else 10 * number + 50  # noqa: E731
    return write_numbered_film(tmp_path / "film.mp4", 20, rate=10, options={"g": "5"}, level=level)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Films of two classes, split in two."""
    for name in ("train/cat/1.mp4", "train/dog/2.mp4", "val/cat/3.mp4"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_numbered_film(path, 20, rate=10, size=(32, 32))
    (tmp_path / "data" / "train" / "notes.txt").write_text("no film")
    return tmp_path / "data"


# ------------------------------------------------------------------------------------------------------------- spans


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--by", "windows", "--seconds", 0.8], [(0, 0.8), (0.8, 1.6), (1.6, 2)]),
        (["--by", "windows", "--seconds", 0.8, "--drop-last"], [(0, 0.8), (0.8, 1.6)]),
        (["--by", "windows", "--seconds", 1, "--step", 0.5], [(0, 1), (0.5, 1.5), (1, 2)]),
        (["--by", "keyframes"], [(0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2)]),
        (["--by", "scenes"], [(0, 1), (1, 2)]),
    ],
)
def test_spans_of_a_film(film: Path, tmp_path: Path, arguments, expected) -> None:
    result = zoo("spans", film, *arguments, "--out", tmp_path / "spans.csv")
    assert result.exit_code == 0, result.output
    assert f"{len(expected)} spans of 1 film" in result.output
    found = rows(tmp_path / "spans.csv")
    assert [(float(row["start"]), float(row["end"])) for row in found] == expected
    assert {row["path"] for row in found} == {"film.mp4"}


def test_spans_of_a_folder_keep_labels_and_splits(folder: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "windows.csv"
    assert zoo("spans", folder, "--by", "windows", "--seconds", 1, "--out", manifest).exit_code == 0
    train, val = samples(manifest), samples(manifest, "val")
    found = [(Path(sample.media).name, sample.targets["label_b"], sample.start, sample.end) for sample in train.samples]
    assert found == [
        ("1.mp4", "cat", 0.0, 1.0),
        ("1.mp4", "cat", 1.0, 2.0),
        ("2.mp4", "dog", 0.0, 1.0),
        ("2.mp4", "dog", 1.0, 2.0),
    ]  # fmt: skip
    assert len(val) == 2


def test_the_rows_of_a_manifest_are_cut_further(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        "path,labels,start,end\ndata/train/cat/1.mp4,cat;pet,0.5,1.5\ndata/train/dog/2.mp4,dog;pet,,\n"
    )
    out = tmp_path / "spans.csv"
    assert zoo("spans", tmp_path / "labels.csv", "--by", "windows", "--seconds", 0.5, "--out", out).exit_code == 0
    split = samples(out)
    halves = [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 2.0)]
    assert [(sample.start, sample.end) for sample in split.samples] == [*halves[1:3], *halves]
    assert list(split.samples[0].targets["label_bk"]) == ["cat", "pet"]


def test_a_manifest_of_json_lines_is_cut_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text('{"path": "data/train/cat/1.mp4", "label": "cat", "end": 1.0}\n')
    out = tmp_path / "spans.csv"
    assert zoo("spans", tmp_path / "labels.jsonl", "--by", "windows", "--seconds", 0.5, "--out", out).exit_code == 0
    assert [(row["label"], row["start"], row["end"]) for row in rows(out)] == [("cat", "0", "0.5"), ("cat", "0.5", "1")]


def test_scenes_of_a_manifest_can_be_read_and_begin_at_their_first_frame(film: Path, tmp_path: Path) -> None:
    assert zoo("spans", film, "--by", "scenes", "--out", tmp_path / "scenes.csv").exit_code == 0
    (_, second) = samples(tmp_path / "scenes.csv").samples
    clip = read_clip(second.media, ClipSpec(frames=2, size=64), start=second.start, end=second.end, position=0.0)
    assert numbers(clip) == [15, 16]  # levels 150 and 160: frames 10 and 11


def test_a_manifest_is_not_written_over(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "spans.csv"
    out.write_text("mine")
    error = refused("spans", film, "--by", "keyframes", "--out", out)
    assert str(out) in str(error)
    assert "it is there already" in str(error)
    assert out.read_text() == "mine"
    assert zoo("spans", film, "--by", "keyframes", "--out", out, "--force").exit_code == 0
    assert len(rows(out)) == 4


def test_a_film_that_cannot_be_read_is_named_and_the_others_are_cut(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "cat" / "0.mp4").write_bytes(b"no film at all")
    out = tmp_path / "spans.csv"
    error = refused("spans", folder, "--by", "windows", "--seconds", 1, "--out", out)
    assert "0.mp4" in str(error)
    assert len(rows(out)) == 6
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


def test_no_span_leaves_no_manifest(film: Path, tmp_path: Path) -> None:
    error = refused("spans", film, "--by", "windows", "--seconds", 9, "--drop-last", "--out", tmp_path / "spans.csv")
    assert "no film of" in str(error)
    assert not (tmp_path / "spans.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("label\ncat\n", "the row has no path"),
        ("path,start\na.mp4,soon\n", "start should be seconds from the film's beginning, not 'soon'"),
        ("path\n", "there is no film in it"),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(content)
    assert message in str(refused("spans", tmp_path / "bad.csv", "--by", "scenes", "--out", tmp_path / "out.csv"))


def test_a_missing_source_and_another_format_are_refused(tmp_path: Path, film: Path) -> None:
    missing = refused("spans", tmp_path / "none", "--by", "scenes", "--out", tmp_path / "out.csv")
    assert "there is no such file or folder" in str(missing)
    text = refused("spans", film, "--by", "scenes", "--out", tmp_path / "out.txt")
    assert "a manifest of spans is a .csv or .jsonl file" in str(text)


@pytest.mark.parametrize(
    ("by", "given", "goes_with"),
    [
        ("scenes", ("--step", 1), "windows"),
        ("scenes", ("--seconds", 1), "windows"),
        ("keyframes", ("--drop-last",), "windows"),
        ("windows", ("--threshold", 3), "scenes"),
        ("keyframes", ("--shortest", 3), "scenes"),
    ],
)
def test_an_option_of_another_way_of_cutting_is_refused(film: Path, tmp_path: Path, by, given, goes_with) -> None:
    result = zoo("spans", film, "--by", by, *given, "--out", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert f"{given[0]} goes with --by {goes_with}, not with --by {by}" in result.output
    assert not (tmp_path / "out.csv").exists()


# --------------------------------------------------------------------------------------------------------- keyframes


def levels(folder: Path) -> dict[str, int]:
    return {path.name: round(np.asarray(Image.open(path)).mean() / 10) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("keyframe", {"000000.000.png": 0, "000000.500.png": 5, "000001.000.png": 15, "000001.500.png": 20}),
        ("scene", {"000000.500.png": 5, "000001.500.png": 20}),
        ("0.8", {"000000.000.png": 0, "000000.800.png": 8, "000001.600.png": 21}),
    ],
)
def test_pictures_are_named_by_their_time(film: Path, tmp_path: Path, every: str, expected) -> None:
    result = zoo("keyframes", film, "--out", tmp_path / "pictures", "--every", every, "--format", "png")
    assert result.exit_code == 0, result.output
    assert levels(tmp_path / "pictures") == expected


def test_pictures_are_upright_and_scaled(tmp_path: Path) -> None:
    film = write_numbered_film(tmp_path / "phone.mp4", 3, size=(32, 64), rotate=90)
    assert zoo("keyframes", film, "--out", tmp_path / "out", "--short-side", 16).exit_code == 0
    (picture,) = (tmp_path / "out").iterdir()
    with Image.open(picture) as opened:
        assert (opened.format, opened.size) == ("JPEG", (16, 32))


def test_pictures_are_not_written_over(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    assert zoo("keyframes", film, "--out", out).exit_code == 0
    assert "4 of 4 pictures are there already, such as 000000.000.jpg" in str(refused("keyframes", film, "--out", out))
    assert zoo("keyframes", film, "--out", out, "--force").exit_code == 0


def test_a_damaged_film_leaves_no_half_written_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Path
) -> None:
    def fail(self, path, *args, **kwargs):
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    assert zoo("keyframes", film, "--out", tmp_path / "out").exit_code != 0
    assert list((tmp_path / "out").iterdir()) == []


def test_another_word_for_every_is_refused(film: Path, tmp_path: Path) -> None:
    result = zoo("keyframes", film, "--out", tmp_path / "out", "--every", "minute")
    assert result.exit_code == 2
    assert "'minute' is neither keyframe, scene nor a number of seconds" in result.output
    with pytest.raises(DataError, match="a window lasts 0 s"):
        raise zoo("keyframes", film, "--out", tmp_path / "out", "--every", "0").exception  # type: ignore[misc]
