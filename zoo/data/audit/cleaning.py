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
from typing import TYPE_CHECKING

from zoo.data.audit.findings import MOST_HONEST, Place
from zoo.data.audit.manifest_rows import Row, check_sayable, in_csv, row_of
from zoo.data.audit.spans import label_names
from zoo_registry.errors import DataError, Location

if TYPE_CHECKING:
    from zoo.data.audit.audit import Audit
    from zoo.data.split import Split

REMOVED = ("unreadable", "mismatch", "black", "contradiction", "leak", "duplicate")
"""Kinds of findings whose samples are left out."""

CSV, JSON_LINES = "cleaned.csv", "cleaned.jsonl"

_ORDER = ("path", "label", "labels", "value", "values", "target", "mask", "boxes")
"""Columns in this order, then those of values with names, then the span and the split."""


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
        kept = min(places, key=lambda place: (MOST_HONEST.index(place.split), place.index))
        same = f"shows {'the same as' if kind == 'duplicate' else 'what'} {kept.key} of {kept.split}"
        same += ", which stays" if kind == "duplicate" else " shows, which stays"
        stays = {kept} if kind == "duplicate" else {place for place in places if place.split == kept.split}
        return [(place, same) for place in places if place not in stays]
    return [(place, message) for place in places]


def emptied(audit: Audit, out: Sequence[LeftOut]) -> list[tuple[str, str]]:
    """Split and class of which nothing is left."""
    gone = Counter((each.place.split, label) for each in out for label in each.place.labels)
    return [(split, label) for (split, label), count in gone.items() if count >= audit.counts[label][split]]


def other_classes(splits: Mapping[str, Split], out: Sequence[LeftOut]) -> list[str]:
    """The classes of the cleaned manifest, where they are not those of the data; empty where nothing changes.

    A manifest has the classes that its training samples name, in alphabetical order.
    """
    train = splits.get("train")
    if train is None or not train.labels:
        return []
    gone = {each.place.index for each in out if each.place.split == train.name}
    names = {
        name
        for index, sample in enumerate(train.samples)
        if index not in gone
        for name in label_names(sample.targets, train.labels)
    }
    return sorted(names) if names and sorted(names) != list(train.labels) else []


def write_cleaned(folder: Path, splits: Mapping[str, Split], out: Sequence[LeftOut], *, force: bool = False) -> Path:
    """Write a manifest of what is left, for the source `manifest`.

    Args:
        folder: where `cleaned.csv` goes, or `cleaned.jsonl` where a name or a target cannot be written as CSV.
        splits: what was audited.
        out: what to leave out.
        force: write over a manifest that is there.

    Returns:
        The path of the manifest.

    Raises:
        DataError: there is one already, nothing is left, or the samples are more than a manifest can say.
    """
    refuse_overwriting(folder, force=force)
    check_sayable(splits)
    gone = {(each.place.split, each.place.index) for each in out}
    rows = [
        row_of(sample, split, folder)
        for split in splits.values()
        for index, sample in enumerate(split.samples)
        if (split.name, index) not in gone
    ]
    if not rows:
        raise DataError("nothing is left for a cleaned manifest", where=Location(str(folder)))
    as_csv = all(map(in_csv, rows))
    path, other = (folder / CSV, folder / JSON_LINES) if as_csv else (folder / JSON_LINES, folder / CSV)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(_csv(rows) if as_csv else _json_lines(rows), encoding="utf-8", newline="")
    os.replace(partial, path)
    other.unlink(missing_ok=True)  # of an earlier check
    return path


def refuse_overwriting(folder: Path, *, force: bool) -> None:
    """See that no cleaned manifest is there, which somebody may train on.

    Raises:
        DataError: there is one, and no `force`.
    """
    for path in (folder / CSV, folder / JSON_LINES):
        if path.exists() and not force:
            hint = "--out names another folder, --force writes over it"
            raise DataError("it is there already", where=Location(str(path)), hint=hint)


def _csv(rows: Sequence[Row]) -> str:
    there = {name: None for row in rows for name in row}
    last = ("start", "end", "split")
    named = [name for name in there if name not in (*_ORDER, *last)]
    text = io.StringIO()
    writer = csv.DictWriter(text, [name for name in (*_ORDER, *named, *last) if name in there], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        lists = {name: ";".join(map(str, row[name])) for name in ("labels", "values") if name in row}
        writer.writerow(row | lists)
    return text.getvalue()


def _json_lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
