"""Samples as rows of a manifest, and what a manifest cannot say."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.audit.spans import label_names
from zoo.data.decode.film import is_url
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from zoo.data.split import Split
    from zoo_registry.protocols import Sample

_NAME = re.compile(r"\w+")
"""What the name of a value may look like in the head of its column."""

_SEPARATOR = "\x1f"
"""What a manifest puts between the names of a list."""

Row = dict[str, Any]


class Unsayable(ValueError):
    """What is it about a sample that a manifest cannot say."""


def check_sayable(splits: Mapping[str, Split]) -> None:
    """See that a manifest can say what the samples are.

    Raises:
        DataError: it cannot, with the first sample of which that is so.
    """
    keys: dict[str, None] = {}
    for split in splits.values():
        for sample in split.samples:
            try:
                row_of(sample, split, Path())
            except Unsayable as error:
                raise _refused(f"{sample.name} of the {split.name} split {error}") from error
            keys |= dict.fromkeys(sample.targets)
    kinds = [kind for kind in (("label_b", "label_bk"), ("value_b",), ("value_bk",)) if keys.keys() & {*kind}]
    if len(kinds) > 1:
        said = " and ".join(key for kind in kinds for key in kind if key in keys)
        raise _refused(f"the data has {said}")


def _refused(what: str) -> DataError:
    hint = "leave out --fix; the JSON names every finding's samples by split and index"
    return DataError(f"{what}, which a manifest cannot say", hint=hint)


def row_of(sample: Sample, split: Split, folder: Path) -> Row:
    """A line of a manifest, as JSON has it.

    Args:
        sample: of the split.
        split: whose labels it uses.
        folder: where the manifest lies.

    Raises:
        Unsayable: there is no such line.
    """
    if not isinstance(sample.media, str):
        raise Unsayable("lies inside another file")
    row: Row = {"path": _path(sample.media, folder)}
    for key, value in sample.targets.items():
        if key not in _TARGETS:
            raise Unsayable(f"has {key}")
        row |= _TARGETS[key](_plain(value), split.labels, folder)
    row |= {name: value for name in ("start", "end") if (value := getattr(sample, name)) is not None}
    return row | {"split": split.name}


def in_csv(row: Row) -> bool:
    """Whether a field can hold each value.

    CSV is read line by line, its fields without the blanks around them, its lists cut at semicolons.
    """
    texts = [value for value in (*row.values(), *row.get("labels", ())) if isinstance(value, str)]
    whole = all(text.isprintable() and text == text.strip() for text in texts)
    labels = row.get("labels")
    return whole and "boxes" not in row and labels != [] and not any(";" in label for label in labels or ())


def _plain(value: Any) -> Any:
    """Numbers of tensors and arrays as Python has them."""
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value


def _path(media: str, folder: Path) -> str:
    """Relative to the manifest where the file lies below its folder, so that both can be moved; else absolute."""
    if is_url(media):
        return media
    absolute = os.path.abspath(media.removeprefix("file:"))
    beside = os.path.abspath(folder)
    path = os.path.relpath(absolute, beside) if absolute.startswith(beside + os.sep) else absolute
    return _text(path)


def _text(text: Any) -> str:
    """What UTF-8 can hold and is something."""
    try:
        if isinstance(text, str) and text.encode():
            return text
    except UnicodeEncodeError:
        pass
    raise Unsayable(f"has the name {text!r}")


def _label(value: Any, labels: Sequence[str], folder: Path) -> Row:
    if not isinstance(value, str) and not (_is_whole(value) and 0 <= value < len(labels)):
        raise Unsayable(f"has the label {value!r}, a class without a name")
    (name,) = label_names({"label_b": value}, labels)
    return {"label": _text(name)}


def _labels(value: Any, labels: Sequence[str], folder: Path) -> Row:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Unsayable("has numbers at label_bk")
    for name in value:
        if not name or name != name.strip() or _SEPARATOR in name:
            raise Unsayable(f"has the label {name!r} in a list")
    return {"labels": sorted(map(_text, value))}


def _value(value: Any, labels: Sequence[str], folder: Path) -> Row:
    return {"value": _number("value_b", value)}


def _values(value: Any, labels: Sequence[str], folder: Path) -> Row:
    if not isinstance(value, list) or not value:
        raise Unsayable(f"has {value!r} at value_bk")
    numbers = [_number("value_bk", one) for one in value]
    counted = [f"value_{at + 1}" for at in range(len(numbers))]
    if not labels or list(labels) == counted:
        return {"values": numbers}
    if len(labels) != len(numbers) or not all(map(_NAME.fullmatch, labels)):
        raise Unsayable(f"has values called {', '.join(labels)}")
    return {f"value_{name}": number for name, number in zip(labels, numbers, strict=True)}


def _film(column: str) -> Callable[[Any, Sequence[str], Path], Row]:
    return lambda value, labels, folder: {column: _path(str(value), folder)}


def _boxes(value: Any, labels: Sequence[str], folder: Path) -> Row:
    for box in value:
        corners = [_number("boxes_n4", corner) for corner in _plain(box)]
        inside = all(0 <= corner <= 1 for corner in corners)
        if len(corners) != 4 or not inside or corners[0] > corners[2] or corners[1] > corners[3]:
            raise Unsayable(f"has the box {corners}")
    return {"boxes": [_plain(box) for box in value]}


def _number(key: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unsayable(f"has {value!r} at {key}")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TARGETS: Mapping[str, Callable[[Any, Sequence[str], Path], Row]] = {
    "label_b": _label,
    "label_bk": _labels,
    "value_b": _value,
    "value_bk": _values,
    "clip_bcthw": _film("target"),
    "mask_bthw": _film("mask"),
    "boxes_n4": _boxes,
}
"""What a target becomes in a row."""
