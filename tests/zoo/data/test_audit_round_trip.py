"""A cleaned manifest opens again and says of every sample that stays what its source said; else nothing is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.build import build
from zoo.data import Split, open_split
from zoo.data.audit.cleaning import LeftOut, other_classes, write_cleaned
from zoo.data.audit.findings import Place
from zoo.data.audit.manifest_rows import check_sayable
from zoo.data.targets import MEDIA, encode
from zoo_registry.catalog import catalog
from zoo_registry.errors import DataError
from zoo_registry.protocols import Sample

CLASSES = ("bird", "cat", "dog")
ODD = ("a, b", "a; b", 'say "x"', "été")


def opened(manifest: Path, split: str, labels: Sequence[str] | None = None) -> Split:
    return open_split(
        build(catalog().resolve("source", "manifest"), {"path": str(manifest)}, {"split": split}), split, labels
    )


def meant(split: Split) -> list[tuple[Any, ...]]:
    """What a run makes of the samples: where they lie, their span, and their targets as tensors."""
    classes = {label: index for index, label in enumerate(split.labels)}
    rows = []
    for sample in split.samples:
        encoded = encode(sample.targets, classes, None)
        targets = {
            key: _place(value) if key in MEDIA else torch.as_tensor(value).tolist() for key, value in encoded.items()
        }
        rows.append((_place(str(sample.media)), sample.start, sample.end, targets))
    return rows


def _place(path: str) -> str:
    return path if "://" in path else os.path.realpath(path.removeprefix("file:"))


def split_of(folder: Path, targets: Sequence[Mapping[str, Any]], labels: Sequence[str] = CLASSES) -> Split:
    """Samples with these targets; the first one's file is there, which is all that the manifest asks for."""
    (folder / "0.mp4").touch()
    spans = [(None, None), (0.5, None), (None, 2.0), (0.1, 1 / 3)]
    samples = [Sample(str(folder / f"{at}.mp4"), row, *spans[at % 4]) for at, row in enumerate(targets)]
    return Split("train", samples, tuple(labels))


KINDS: dict[str, tuple[list[dict[str, Any]], Sequence[str]]] = {
    "one class": ([{"label_b": name} for name in ("cat", "dog", "bird", "cat")], CLASSES),
    "classes by index": ([{"label_b": index} for index in (1, 2, 0)], CLASSES),
    "classes as tensors": ([{"label_b": torch.tensor(index)} for index in (1, 2, 0)], CLASSES),
    "no targets": ([{}, {}], ()),
    "several classes": ([{"label_bk": names} for names in (["cat", "dog"], ["bird"], ["cat"])], CLASSES),
    "several classes or none": ([{"label_bk": names} for names in (["cat", "dog"], [], ["bird"])], CLASSES),
    "classes with odd names": ([{"label_b": name} for name in ODD], ODD),
    "lists of odd names": ([{"label_bk": [ODD[0], ODD[3]]}, {"label_bk": [ODD[1]]}, {"label_bk": [ODD[2]]}], ODD),
    "a number": ([{"value_b": value} for value in (1, -0.5, 1e-9, 0.1 + 0.2)], ("value",)),
    "numbers": ([{"value_bk": row} for row in ([1, 2.5], [0.1 + 0.2, -3e7])], ("value_1", "value_2")),
    "numbers without names": ([{"value_bk": row} for row in ([1.5, 2.5], [3.0, 4.0])], ()),
    "numbers with names": ([{"value_bk": row} for row in ([1, 2.5], [3, 4])], ("pulse", "breath_rate")),
    "one number with a name": ([{"value_bk": [1.5]}, {"value_bk": [2.5]}], ("pulse",)),
    "numbers as arrays": ([{"value_bk": np.array([1.5, 2.5])}, {"value_bk": np.array([3.5, 4.5])}], ("a", "b")),
    "boxes": ([{"boxes_n4": rows} for rows in ([[0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]], [], [[0, 0, 0.5, 0.5]])], ()),
    "boxes as tensors": ([{"boxes_n4": torch.tensor([[0.0, 0.25, 0.5, 1.0]])}, {"boxes_n4": torch.zeros(0, 4)}], ()),
    "target clips": ([{"clip_bcthw": "sharp/0.mp4"}, {"clip_bcthw": "http://films.example/1.mp4?a=1,2"}], ()),
    "masks with classes": (
        [{"mask_bthw": f"m {name}; 1.png", "label_b": name} for name in CLASSES],
        CLASSES,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_stays_says_the_same_and_what_is_left_out_is_all_that_is_gone(tmp_path: Path, kind: str) -> None:
    targets, labels = KINDS[kind]
    split = split_of(tmp_path, [*targets, *targets], labels)
    gone = [LeftOut(Place("train", at, "", ""), "black", "") for at in range(len(targets), 2 * len(targets))]
    for folder, out in ((tmp_path / "all", []), (tmp_path, gone)):
        manifest = write_cleaned(folder, {"train": split}, out)
        assert meant(opened(manifest, "train")) == meant(split)[: len(split) - len(out)]


def test_films_on_servers_keep_their_addresses(tmp_path: Path) -> None:
    split = Split("train", [Sample("https://films.example/a b.mp4?x=1#t", {"label_b": "cat"})], ("cat",))
    manifest = write_cleaned(tmp_path, {"train": split}, [])
    assert opened(manifest, "train").samples[0].media == "https://films.example/a b.mp4?x=1#t"


def test_splits_stay_apart(tmp_path: Path) -> None:
    train = split_of(tmp_path, [{"label_b": name} for name in CLASSES])
    val = Split("val", [Sample(str(tmp_path / "0.mp4"), {"label_b": "dog"}, 2.0, 3.0)], CLASSES)
    manifest = write_cleaned(tmp_path, {"train": train, "val": val}, [])
    assert meant(opened(manifest, "train")) == meant(train)
    assert meant(opened(manifest, "val", CLASSES)) == meant(val)


UNSAYABLE: dict[str, tuple[dict[str, Any], Sequence[str], str]] = {
    "probabilities": ({"label_bk": [0.2, 0.8, 0.0]}, CLASSES, "has numbers at label_bk"),
    "a class without a name": ({"label_b": 3}, (), "has the label 3, a class without a name"),
    "a name with a blank in a list": ({"label_bk": ["cat", " dog"]}, ("cat", " dog"), "has the label ' dog' in a list"),
    "a name of nothing": ({"label_b": ""}, ("",), "has the name ''"),
    "not a number": ({"value_b": float("nan")}, ("value",), "has nan at value_b"),
    "infinity among numbers": ({"value_bk": [1.0, float("inf")]}, (), "has inf at value_bk"),
    "names that head no column": ({"value_bk": [1.0, 2.0]}, ("heart rate", "age"), "has values called heart rate, age"),
    "a box beyond the frame": ({"boxes_n4": [[0.0, 0.0, 1.2, 1.0]]}, (), "has the box [0.0, 0.0, 1.2, 1.0]"),
    "a box of three numbers": ({"boxes_n4": [[0.0, 0.0, 1.0]]}, (), "has the box [0.0, 0.0, 1.0]"),
    "labels of boxes": ({"boxes_n4": [[0, 0, 1, 1]], "label_nk": [["cat"]]}, CLASSES, "has label_nk"),
}


@pytest.mark.parametrize("kind", UNSAYABLE)
def test_what_a_manifest_cannot_say_is_refused_before_anything_is_read(tmp_path: Path, kind: str) -> None:
    targets, labels, reason = UNSAYABLE[kind]
    splits = {"train": Split("train", [Sample("a.mp4", targets)], tuple(labels))}
    with pytest.raises(DataError) as error:
        check_sayable(splits)
    assert str(error.value).startswith(f"a.mp4 of the train split {reason}, which a manifest cannot say")
    with pytest.raises(DataError):
        write_cleaned(tmp_path, splits, [])
    assert list(tmp_path.iterdir()) == []


def test_classes_and_values_in_one_list_are_refused(tmp_path: Path) -> None:
    splits = {"train": Split("train", [Sample("a.mp4", {"label_b": "cat", "value_b": 1.0})], ("cat",))}
    with pytest.raises(DataError, match="the data has label_b and value_b, which a manifest cannot say"):
        write_cleaned(tmp_path, splits, [])


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, as old archives have them."""
    name = os.fsdecode(b"caf\xe9.mp4")
    with pytest.raises(DataError, match="which a manifest cannot say"):
        write_cleaned(tmp_path, {"train": Split("train", [Sample(name)], ())}, [])
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_of_an_earlier_check_does_not_stay_beside_a_new_one_of_another_form(tmp_path: Path) -> None:
    write_cleaned(tmp_path, {"train": split_of(tmp_path, [{"label_b": "cat"}])}, [])
    write_cleaned(tmp_path, {"train": split_of(tmp_path, [{"label_b": "a\nb"}], ["a\nb"])}, [], force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mp4", "cleaned.jsonl"]


def test_classes_that_change_are_said(tmp_path: Path) -> None:
    """A manifest's classes are those it names, in alphabetical order."""
    split = split_of(tmp_path, [{"label_b": name} for name in CLASSES])
    assert other_classes({"train": split}, []) == []
    assert other_classes({"train": split}, [LeftOut(Place("train", 0, "", ""), "black", "")]) == ["cat", "dog"]
    backwards = split_of(tmp_path, [{"label_b": name} for name in CLASSES], CLASSES[::-1])
    assert other_classes({"train": backwards}, []) == ["bird", "cat", "dog"]
