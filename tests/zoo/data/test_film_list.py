"""Lists of films are read by the rules of the source `manifest`, and spans keep all that a list says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.data.clips.film_list import ListedFilm, list_films
from zoo.data.clips.span_manifest import SpanRow, write_spans
from zoo_plugins.sources.manifest import manifest
from zoo_registry.errors import DataError

READ = {
    "a.csv": "path,label,start,end\na.mp4,cat,0.5,2\nb.mp4,dog,,\n",
    "blanks.csv": "\ufeff path , label,start \n  a.mp4 ,\tcat , 1 \n\n b.mp4,dog,\n",
    "quotes.csv": 'path,label\n"a, b.mp4","say ""hi"""\n"c.mp4",dog\n',
    "lines.CSV": "path,label\r\na.mp4,cat\r\n",
    "tabs.tsv": "path\tlabel\na b.mp4\tcat, dog\n",
    "table.txt": "path,label\na.mp4,cat\n",
    "short.csv": "path,label,start\na.mp4,cat\n",
    "net.csv": "path,label\nhttps://example.org/a.mp4,cat\nhttp://example.org/b//c.mp4,cat\n",
    "a.jsonl": '{"path": "a.mp4", "label": "cat", "start": 1, "end": 2.5}\n\n{"path": "b.mp4", "label": "dog"}\n',
    "upper.JSONL": '{"path": "a.mp4", "label": "cat", "start": null, "end": "3"}\n',
    "net.jsonl": '{"path": "https://example.org/a.mp4", "label": "cat"}\n',
}
REFUSED = {
    "nan.csv": ("path,start\na.mp4,nan\n", "start should be seconds"),
    "inf.csv": ("path,end\na.mp4,inf\n", "end should be seconds"),
    "early.csv": ("path,start\na.mp4,-1\n", "start should be seconds"),
    "soon.csv": ("path,start\na.mp4,soon\n", "start should be seconds"),
    "empty.csv": ("path,start,end\na.mp4,2,2\n", r"the span from 2 s to 2 s is empty"),
    "nothing.csv": ("path,label\n,cat\n", "the row has no path"),
    "none.csv": ("film,label\na.mp4,cat\n", "the row has no path"),
    "twice.csv": ("path,label,label\na.mp4,cat,dog\n", "column 'label' is there 2 times"),
    "long.csv": ("path,label\na.mp4,cat,dog\n", "the row has 1 more field than the header"),
    "open.csv": ('path,label\na.mp4,cat\na.mp4,"dog\na.mp4,owl\n', "this is no CSV: unexpected end of data"),
    "stray.csv": ('path,label\na.mp4,"cat\na.mp4,dog\na.mp4,"\na.mp4,owl\n', "the label runs over a line break"),
    "truth.jsonl": ('{"path": "a.mp4", "start": true}\n', "start"),
    "list.jsonl": ('{"path": ["a.mp4"]}\n', "path should be a text"),
    "number.jsonl": ('{"path": 3}\n', "path should be a text"),
    "text.jsonl": ('"a.mp4"\n', "a row should be a JSON object"),
    "cut.JSONL": ('{"path": "a.mp4"\n', "no JSON"),
    "deep.jsonl": ("[" * 100_000 + "\n", "no JSON"),
    "odd.csv": (b"path,label\na.mp4,\xff\n", "is not UTF-8 text"),
}  # fmt: skip


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", READ)
def test_both_read_the_same(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, READ[name])
    for film in ("a.mp4", "b.mp4", "c.mp4", "a, b.mp4", "a b.mp4"):
        (tmp_path / film).touch()
    ours = [(str(film.path), film.about["label"], film.start, film.end) for film in list_films(path)]
    theirs = [
        (sample.media, sample.targets["label_b"], sample.start, sample.end)
        for sample in manifest(path=path, split="train").samples
    ]
    assert ours == theirs


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse_the_same_for_the_same_reason(tmp_path: Path, name: str) -> None:
    content, reason = REFUSED[name]
    path = write(tmp_path / name, content)
    (tmp_path / "a.mp4").touch()
    for read in (lambda: list_films(path), lambda: manifest(path=path, split="train")):
        with pytest.raises(DataError, match=reason) as caught:
            read()
        assert all(problem.hint for problem in caught.value.problems)


def test_all_bad_rows_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "path,start\n" + "a.mp4,nan\nb.mp4,1\n" * 30)
    with pytest.raises(DataError) as caught:
        list_films(path)
    assert [problem.where.line for problem in caught.value.problems[:20]] == list(range(2, 42, 2))
    assert caught.value.problems[20].message == "and 10 more"


def test_spans_keep_every_column(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "sharp.mp4"):
        (tmp_path / "in" / name).touch()
    content = "path,label,target,camera,note\na.mp4,cat,sharp.mp4,north,\na.mp4,dog,sharp.mp4,south,late\n"
    films = list_films(write(tmp_path / "in" / "list.csv", content))
    write_spans(tmp_path / "out.csv", [SpanRow(film, (0.5, 2.0)) for film in films])
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "path,label,target,camera,note,start,end",
        "in/a.mp4,cat,in/sharp.mp4,north,,0.5,2",
        "in/a.mp4,dog,in/sharp.mp4,south,late,0.5,2",
    ]


def test_spans_of_boxes_and_lists_become_json_lines(tmp_path: Path) -> None:
    row = {"path": "a.mp4", "labels": ["cat; big", "pet"], "boxes": [[0, 0, 1, 1]]}
    (tmp_path / "a.mp4").touch()
    films = list_films(write(tmp_path / "list.jsonl", json.dumps(row)))
    with pytest.raises(DataError, match="does not fit into a field of a table") as caught:
        write_spans(tmp_path / "out.csv", [SpanRow(film, (0.5, 2.0)) for film in films])
    assert "--out spans.jsonl" in str(caught.value)
    assert not (tmp_path / "out.csv").exists()
    write_spans(tmp_path / "out.jsonl", [SpanRow(film, (0.5, 2.0)) for film in films])
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {**row, "start": 0.5, "end": 2.0}
    (sample,) = manifest(path=tmp_path / "out.jsonl", split="train").samples
    assert sample.targets == {"label_bk": ["cat; big", "pet"], "boxes_n4": [[0, 0, 1, 1]]}
    assert (sample.start, sample.end) == (0.5, 2.0)


def test_spans_of_a_film_on_a_server_keep_its_address(tmp_path: Path) -> None:
    write_spans(tmp_path / "out.csv", [SpanRow(ListedFilm("https://example.org/a.mp4", {"values": "1;2"}), (0.0, 1.5))])
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "https://example.org/a.mp4,1;2,0,1.5"
