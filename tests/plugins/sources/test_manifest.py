"""`manifest` reads lists of films, and says all that is wrong with them, with the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugins.sources.listing import touch
from tests.plugins.sources.listing import write as write_text
from zoo_plugins.sources.manifest import manifest
from zoo_registry.errors import DataError


def write(path: Path, text: str) -> Path:
    touch(path.parent / "a.mp4", path.parent / "b.mp4")
    return write_text(path, text)


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
        ("labels.csv", "path,label\na.mp4,cat,dog\n", "csv:2:1: the row has 1 more field than the header"),
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
