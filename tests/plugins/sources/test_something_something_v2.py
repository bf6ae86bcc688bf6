"""`something_something_v2` reads the official JSON lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.sources.listing import lines_of, touch, write
from zoo_plugins.sources.something_something_v2 import something_something_v2
from zoo_registry.errors import DataError

LABELS = """{
"Approaching something with your camera":"0",
"Holding something next to something":"1",
"Putting something on a surface":"2"
}
"""
TRAIN = """[
{"id":"78687","label":"holding potato next to vicks vaporub bottle","template":"Holding [something] next to [something]","placeholders":["potato","vicks vaporub bottle"]},
{"id":"42326","label":"putting cup on a surface","template":"Putting [something] on a surface","placeholders":["cup"]}
]
"""  # noqa: E501
TEST = '[\n{"id":"1420"},\n{"id":"3"}\n]\n'


def lists(folder: Path, prefix: str = "something-something-v2-", **changed: str) -> Path:
    for name, text in {"labels": LABELS, "train": TRAIN, "validation": TRAIN, "test": TEST, **changed}.items():
        write(folder / f"{prefix}{name}.json", text)
    return folder


def films(folder: Path) -> Path:
    touch(*(folder / "20bn-something-something-v2" / f"{number}.webm" for number in (78687, 42326, 1420, 3)))
    return folder


@pytest.mark.parametrize("prefix", ["something-something-v2-", ""])
@pytest.mark.parametrize("split", ["train", "val"])
def test_templates_without_brackets_are_classes_in_the_official_order(tmp_path: Path, prefix: str, split: str) -> None:
    annotations = lists(tmp_path / "labels", prefix)
    source = something_something_v2(annotations=annotations, films=films(tmp_path / "films"), split=split)
    assert source.labels == [
        "Approaching something with your camera",
        "Holding something next to something",
        "Putting something on a surface",
    ]
    assert [(Path(sample.media).name, source.labels.index(sample.targets["label_b"])) for sample in source.samples] == [
        ("78687.webm", 1),
        ("42326.webm", 2),
    ]


def test_numbers_decide_the_order_not_their_place_in_the_file(tmp_path: Path) -> None:
    annotations = lists(
        tmp_path / "labels",
        labels='{"Putting something on a surface": "1",\n"Holding something next to something": "0"}',
    )
    source = something_something_v2(annotations=annotations, films=films(tmp_path / "films"), split="train")
    assert source.labels == ["Holding something next to something", "Putting something on a surface"]


def test_test_films_have_classes_where_the_answers_are_there(tmp_path: Path) -> None:
    annotations = lists(tmp_path / "labels")
    source = something_something_v2(annotations=annotations, films=films(tmp_path / "films"), split="test")
    assert [sample.targets for sample in source.samples] == [{}, {}]
    write(
        annotations / "test-answers.csv",
        "1420;Putting something on a surface\n3;Holding something next to something\n",
    )
    source = something_something_v2(annotations=annotations, films=films(tmp_path / "films"), split="test")
    assert [source.labels.index(sample.targets["label_b"]) for sample in source.samples] == [2, 1]


def test_everything_wrong_with_a_list_is_told_with_its_line(tmp_path: Path) -> None:
    entries = (
        '{"id":"1","template":"Holding [something] next to something"}',
        '{"template":"x"}',
        '{"id":"2"}',
        '{"id":"3","template":"Holding [something] near [something]"}',
    )
    train = "[\n" + ",\n".join(entries) + "\n]"
    annotations = lists(tmp_path / "labels", train=train)
    with pytest.raises(DataError) as caught:
        something_something_v2(annotations=annotations, films=tmp_path, split="train")
    assert lines_of(caught) == [
        (3, "the entry has no id"),
        (4, "2 has no template"),
        (5, "'Holding something near something' is not among the labels"),
    ]
    assert "did you mean 'Holding something next to something'?" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ('{"a": "0",\n"b": "0"}', r"labels\.json:2:1: number 0 stands for two templates"),
        ('{"a": "0",\n"b": "x"}', r"labels\.json:2:1: the number of 'b' is 'x'"),
        ('{"a": "0",\n"b": "2"}', "the templates' numbers are not 0, 1, 2"),
        ('{"a": "0",\n"b" "1"}', r"labels\.json:2:5: no JSON: Expecting ':'"),
        ('{"a": "0"} x', r"labels\.json:1:12: no JSON: Extra data"),
        ('"a"', r"labels\.json:1:1: no JSON: Expecting a list or an object"),
    ],
)
def test_labels_that_cannot_serve(tmp_path: Path, labels: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        something_something_v2(annotations=lists(tmp_path / "labels", labels=labels), films=tmp_path, split="train")


def test_a_folder_without_lists_says_what_it_holds(tmp_path: Path) -> None:
    touch(tmp_path / "readme.txt")
    with pytest.raises(DataError, match=r"v2-labels\.json: cannot read this annotation file(.|\n)*holds readme\.txt"):
        something_something_v2(annotations=tmp_path, films=tmp_path, split="train")
