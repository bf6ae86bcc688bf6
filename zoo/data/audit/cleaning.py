"""A manifest without what an audit found: the files stay as they are."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.audit.findings import Place
from zoo.data.audit.spans import label_names
from zoo_registry.errors import DataError, Location

if TYPE_CHECKING:
    from zoo.data.audit.audit import Audit
    from zoo.data.split import Split

REMOVED = ("unreadable", "black", "contradiction", "leak", "duplicate")
"""Kinds of findings whose samples are left out."""

MOST_HONEST = ("test", "val", "train")
"""Of copies in several splits the one in the first of these stays: what is measured on is worth more."""

_LABELS = {"label_b", "label_bk"}


@dataclass(frozen=True)
class LeftOut:
    """A sample that is not in the cleaned manifest, and why."""

    place: Place
    kind: str
    reason: str


def left_out(audit: Audit) -> list[LeftOut]:
    """Samples to leave out, by split and index, each for the first reason that applies."""
    reasons: dict[tuple[str, int], LeftOut] = {}
    for kind in REMOVED:
        for finding in audit.of(kind):
            for place, reason in _removed(kind, finding.message, finding.places):
                reasons.setdefault((place.split, place.index), LeftOut(place, kind, reason))
    order = list(audit.splits)
    return sorted(reasons.values(), key=lambda out: (order.index(out.place.split), out.place.index))


def _removed(kind: str, message: str, places: Sequence[Place]) -> list[tuple[Place, str]]:
    """Which samples of a finding go."""
    if kind in ("leak", "duplicate"):
        kept = min(places, key=lambda place: MOST_HONEST.index(place.split))
        same = f"shows the same as {kept.key} of {kept.split}, which stays"
        return [(place, same) for place in places if place is not kept]
    return [(place, message) for place in places]


def emptied(audit: Audit, out: Sequence[LeftOut]) -> list[tuple[str, str]]:
    """Split and class of which nothing is left."""
    gone = Counter((each.place.split, label) for each in out for label in each.place.labels)
    return [(split, label) for (split, label), count in gone.items() if count >= audit.counts[label][split]]


def write_cleaned(path: Path, splits: Mapping[str, Split], out: Sequence[LeftOut], *, force: bool = False) -> int:
    """Write a manifest of what is left, for the source `manifest`.

    Args:
        path: a `.csv` or `.jsonl` file.
        splits: what was audited.
        out: what to leave out.
        force: write over a file that is there.

    Returns:
        How many samples are in it.

    Raises:
        DataError: the file is there already, nothing is left, or the targets are more than a manifest can say.
    """
    check_writable(path, splits, force=force)
    gone = {(each.place.split, each.place.index) for each in out}
    rows = [
        _row(split, index, path.parent)
        for split in splits.values()
        for index in range(len(split))
        if (split.name, index) not in gone
    ]
    if not rows:
        raise DataError("nothing is left for a cleaned manifest", where=Location(str(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(_csv(rows) if path.suffix == ".csv" else _json_lines(rows), encoding="utf-8", newline="")
    os.replace(partial, path)
    return len(rows)


def check_writable(path: Path, splits: Mapping[str, Split], *, force: bool) -> None:
    """See that a cleaned manifest can be written, before films are read for hours.

    Raises:
        DataError: as `write_cleaned`.
    """
    if path.exists() and not force:
        raise DataError("it is there already", where=Location(str(path)), hint="--force writes over it")
    for split in splits.values():
        if any(not isinstance(sample.media, str) for sample in split.samples):
            raise DataError(
                f"films of the {split.name} split lie inside other files, which a manifest cannot name",
                hint="leave out --fix; the JSON names every finding's samples by split and index",
            )
        more = {key for sample in split.samples for key in sample.targets} - _LABELS
        if more:
            raise DataError(
                f"the {split.name} split has {', '.join(sorted(more))}, which a manifest cannot say",
                hint="leave out --fix; the JSON names every finding's samples by split and index",
            )


def _row(split: Split, index: int, folder: Path) -> dict[str, Any]:
    sample = split.samples[index]
    labels = list(label_names(sample.targets, split.labels))
    several = "label_bk" in sample.targets
    row: dict[str, Any] = {"path": _path(str(sample.media), folder)}
    row |= {"labels": labels} if several else {"label": labels[0]} if labels else {}
    row |= {name: value for name in ("start", "end") if (value := getattr(sample, name)) is not None}
    return row | {"split": split.name}


def _path(media: str, folder: Path) -> str:
    """Relative to the manifest where the file lies below its folder, so that both can be moved; else absolute."""
    absolute = os.path.abspath(media.removeprefix("file:"))
    beside = os.path.abspath(folder)
    return os.path.relpath(absolute, beside) if absolute.startswith(beside + os.sep) else absolute


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = [
        name for name in ("path", "label", "labels", "start", "end", "split") if any(name in row for row in rows)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        _refuse_unsayable(row)
        writer.writerow({**row, "labels": ";".join(row["labels"])} if "labels" in row else row)
    return text.getvalue()


def _refuse_unsayable(row: Mapping[str, Any]) -> None:
    """A CSV file is read line by line, its fields without the blanks around them, labels cut at semicolons."""
    for value in (row["path"], row.get("label", ""), *row.get("labels", ())):
        several = "labels" in row and value is not row["path"] and ";" in value
        if value != value.strip() or len(value.splitlines()) > 1 or several or not value.isprintable():
            raise DataError(f"{value!r} cannot be written into a CSV file", hint="use --fix cleaned.jsonl")


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
