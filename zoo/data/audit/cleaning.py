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

from zoo.data.audit.findings import MOST_HONEST, Place
from zoo.data.audit.spans import label_names
from zoo_registry.errors import DataError, Location

if TYPE_CHECKING:
    from zoo.data.audit.audit import Audit
    from zoo.data.split import Split

REMOVED = ("unreadable", "mismatch", "black", "contradiction", "leak", "duplicate")
"""Kinds of findings whose samples are left out."""

CSV, JSON_LINES = "cleaned.csv", "cleaned.jsonl"

_PATHS = frozenset({"clip_bcthw", "mask_bthw"})
_COLUMNS = {
    "label_b": "label",
    "label_bk": "labels",
    "value_b": "value",
    "clip_bcthw": "target",
    "mask_bthw": "mask",
    "boxes_n4": "boxes",
}
"""Targets that a manifest can say, and where; those of `_PATHS` are films."""


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
        same = f"shows the same as {kept.key} of {kept.split}, which stays"
        stays = {kept} if kind == "duplicate" else {place for place in places if place.split == kept.split}
        return [(place, same) for place in places if place not in stays]
    return [(place, message) for place in places]


def emptied(audit: Audit, out: Sequence[LeftOut]) -> list[tuple[str, str]]:
    """Split and class of which nothing is left."""
    gone = Counter((each.place.split, label) for each in out for label in each.place.labels)
    return [(split, label) for (split, label), count in gone.items() if count >= audit.counts[label][split]]


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
        _row(split, index, folder)
        for split in splits.values()
        for index in range(len(split))
        if (split.name, index) not in gone
    ]
    if not rows:
        raise DataError("nothing is left for a cleaned manifest", where=Location(str(folder)))
    in_csv = all(map(_fits_csv, rows))
    path = folder / (CSV if in_csv else JSON_LINES)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(_csv(rows) if in_csv else _json_lines(rows), encoding="utf-8", newline="")
    os.replace(partial, path)
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


def check_sayable(splits: Mapping[str, Split]) -> None:
    """See that a manifest can say what the samples are.

    Raises:
        DataError: it cannot.
    """
    for split in splits.values():
        more = {key for sample in split.samples for key in sample.targets} - _COLUMNS.keys()
        inside = any(not isinstance(sample.media, str) for sample in split.samples)
        if more or inside:
            what = f"has {', '.join(sorted(more))}" if more else "has films inside other files"
            raise DataError(
                f"the {split.name} split {what}, which a manifest cannot say",
                hint="leave out --fix; the JSON names every finding's samples by split and index",
            )


def _row(split: Split, index: int, folder: Path) -> dict[str, Any]:
    """A line of the manifest, as JSON has it."""
    sample = split.samples[index]
    row: dict[str, Any] = {"path": _path(str(sample.media), folder)}
    for key, value in sample.targets.items():
        if key in ("label_b", "label_bk"):
            labels = list(label_names({key: value}, split.labels))
            value = labels if key == "label_bk" else labels[0]
        elif key in _PATHS:
            value = _path(str(value), folder)
        row[_COLUMNS[key]] = value.tolist() if hasattr(value, "tolist") else value
    row |= {name: value for name in ("start", "end") if (value := getattr(sample, name)) is not None}
    return row | {"split": split.name}


def _path(media: str, folder: Path) -> str:
    """Relative to the manifest where the file lies below its folder, so that both can be moved; else absolute."""
    absolute = os.path.abspath(media.removeprefix("file:"))
    beside = os.path.abspath(folder)
    return os.path.relpath(absolute, beside) if absolute.startswith(beside + os.sep) else absolute


def _fits_csv(row: Mapping[str, Any]) -> bool:
    """A CSV file is read line by line, its fields without the blanks around them, labels cut at semicolons."""
    texts = [value for value in (*row.values(), *row.get("labels", ())) if isinstance(value, str)]
    whole = all(text.isprintable() and text == text.strip() and text for text in texts)
    return whole and "boxes" not in row and not any(";" in label for label in row.get("labels", ()))


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    order = ("path", *dict.fromkeys(_COLUMNS.values()), "start", "end", "split")
    text = io.StringIO()
    writer = csv.DictWriter(text, [name for name in order if any(name in row for row in rows)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "labels": ";".join(row["labels"])} if "labels" in row else row)
    return text.getvalue()


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
