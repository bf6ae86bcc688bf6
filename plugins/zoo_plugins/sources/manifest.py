"""Films listed in a CSV or JSON-lines file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo_plugins.sources.column_samples import ColumnSamples
from zoo_plugins.sources.columns import distinct, numbers
from zoo_plugins.sources.manifest_table import Table, read_table
from zoo_plugins.sources.problem_list import MOST, ProblemList
from zoo_plugins.sources.sample_list import SampleList
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.names import nearest
from zoo_registry.protocols import Provided

COLUMNS = ("path", "label", "labels", "value", "values", "start", "end", "split", "target", "mask", "boxes")
VALUE = re.compile(r"value_(\w+)")
"""A column of its own for one of several values."""

TARGETS: Mapping[str, tuple[str, ...]] = {
    "class": ("label", "labels"),
    "value": ("value", "values"),
    "target": ("target",),
    "mask": ("mask",),
    "boxes": ("boxes",),
}
"""What a row says, and the columns it may say it in."""

PARSED = ("start", "end", "split", "value", "values")
"""Columns that are kept in another form than text."""

MEND = "mend the row, or take it out"

LOOKED_AT = 1_000
"""Files whose existence is tried; all of a million would take minutes on a network disk."""


def manifest(*, path: Path, split: Provided[str]) -> SampleList:
    """Read samples from a list.

    A list of a million rows opens in about a second, takes little more memory than the file is long, and worker
    processes share it.

    Args:
        path: a file of comma-separated values with a header (`.csv`; `.tsv` has tabs) or of one JSON object a line
            (`.jsonl`). Columns, of which only `path` is needed; empty fields count as missing:

            - `path` of the film, relative to this file.
            - `label`, one class name; or `labels`, several (a JSON list, or separated by `;`).
            - `value`, one number to be predicted; or `values`, several (likewise); or a column of its own for each,
              `value_NAME`.
            - `start` and `end` of the span in seconds.
            - `split`.
            - `target`, the path of the film that should come out; `mask`, of the film or picture whose pixels are
              class indices.
            - `boxes` (JSON lines only), a list of corners `[x1, y1, x2, y2]` in 0..1 of the displayed frame.
        split: rows of another split are left out, where there is such a column.

    Returns:
        samples with `label_b`, `label_bk`, `value_b` or `value_bk`, `clip_bcthw`, `mask_bthw` and `boxes_n4`, in the
        order of the file. The labels are the classes in alphabetical order, or the names of the values: `value`,
        or `value_1`, `value_2`, ..., or every NAME, in the order of their columns.

    Raises:
        DataError: a file that cannot be read, unknown columns, bad rows (each with its line; of many the first 20 and
            a count), rows that lack what others have, no row of the split.

    Example:
        >>> manifest(path=Path("films/labels.csv"), split="val").samples[0].key      # doctest: +SKIP
        'cooking/0001.mp4'
    """
    table = read_table(path, _is_known)
    checked = _Checked(table, path, split)
    if checked.problems:
        raise DataError(checked.problems.told())
    samples = checked.samples()
    if _none_exists(samples):
        raise DataError(
            f"none of its {len(samples):,} files of the {split} split exists, such as {samples[0].media}"
            if len(samples) <= LOOKED_AT
            else f"none of {LOOKED_AT:,} files of the {split} split exists, such as {samples[0].media}",
            where=Location(str(path)),
            hint=f"paths are relative to the manifest's folder, {path.parent}",
        )
    return SampleList(samples, checked.value_names or sorted(samples.class_names()))


def _is_known(name: str) -> bool:
    return name in COLUMNS or VALUE.fullmatch(name) is not None


def _none_exists(samples: ColumnSamples) -> bool:
    step = -(-len(samples) // LOOKED_AT)
    media = (samples[at].media for at in range(0, len(samples), step))
    return not any("://" in name or os.path.exists(name) for name in media)


class _Checked:
    """A table's columns with their meaning, and everything that is wrong with them."""

    def __init__(self, table: Table, path: Path, split: str) -> None:
        self.path, self.split, self.table = path, split, table
        self.problems = ProblemList()
        self.problems.extend(table.problems)
        self.problems.extend(self._unknown_columns())
        # A column that no row fills is none.
        self.columns = {name: texts for name, texts in table.columns.items() if texts.filled.any()}
        self.named = [name for name in self.columns if VALUE.fullmatch(name)]
        self.count = len(table.lines)
        if self.count:
            self._check_rows()
            self.start, self.end = self._span()
            self.rows = self._rows_of_split()
            self.values, self.value_names = self._values()
            self._check_boxes()
            self._check_targets()
        elif not self.problems:
            where = Location(str(path))
            self.problems.add(Problem("this manifest lists nothing", where, "a header line and one row per film"))

    def samples(self) -> ColumnSamples:
        """What the rows of the split say; only without problems."""
        rows = self.rows if len(self.rows) < self.count else slice(None)
        chosen = {name: texts.rows(rows) for name, texts in self.columns.items() if name not in PARSED}
        keys = {"target": "clip_bcthw", "mask": "mask_bthw"}
        return ColumnSamples(
            str(self.path.parent),
            chosen["path"],
            start=None if self.start is None else self.start[rows],
            end=None if self.end is None else self.end[rows],
            label=chosen.get("label"),
            labels=chosen.get("labels"),
            values=None if self.values is None else self.values[rows],
            files={key: chosen[name] for name, key in keys.items() if name in chosen},
            boxes=chosen.get("boxes"),
            separator=self.table.separator,
        )

    def _problem(self, row: int, message: str, hint: str | None = None) -> Problem:
        return Problem(message, Location(str(self.path), int(self.table.lines[row]), 1), hint)

    def _report(self, rows: np.ndarray, message: Callable[[int], str], hint: str) -> None:
        self.problems.extend((self._problem(int(row), message(int(row)), hint) for row in rows[:MOST]), len(rows))

    def _unknown_columns(self) -> Iterator[Problem]:
        for name, place in self.table.places.items():
            if not _is_known(name):
                near = nearest(name, COLUMNS)
                meant = f"did you mean {near[0]!r}? " if near else ""
                hint = f"{meant}columns are {', '.join(COLUMNS)}, value_NAME"
                yield Problem(f"unknown column {name!r}", place, hint)

    def _check_rows(self) -> None:
        path = self.columns.get("path")
        lacking = np.arange(self.count) if path is None else np.flatnonzero(~path.filled)
        self._report(lacking, lambda row: "the row has no path", "every row names a film in the column `path`")
        for one, several in (("label", "labels"), ("value", "values")):
            if one in self.columns and several in self.columns:
                both = self.columns[one].filled & self.columns[several].filled
                said = f"the row has both a {one} and {several}"
                self._report(np.flatnonzero(both), lambda row, said=said: said, "fill one of the two columns")

    def _span(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        spans = {name: self._seconds(name) for name in ("start", "end") if name in self.columns}
        start, end = spans.get("start"), spans.get("end")
        if start is not None and end is not None:
            self._report(
                np.flatnonzero(end <= start),
                lambda row: f"the span from {start[row]:g} s to {end[row]:g} s is empty",
                "`end` lies behind `start`; leave both out for the whole film",
            )
        return start, end

    def _seconds(self, name: str) -> np.ndarray:
        seconds, bad = numbers(self.columns[name])
        negative = np.flatnonzero(seconds < 0)
        seconds[negative] = np.nan
        said = f"{name} should be seconds from the film's beginning, not"
        texts = self.columns[name]
        self._report(np.union1d(bad, negative), lambda row: f"{said} {texts[row]!r}", "write 12.5, or nothing")
        return seconds

    def _rows_of_split(self) -> np.ndarray:
        """The rows that are of this split or of none."""
        column = self.columns.get("split")
        if column is None:
            return np.arange(self.count)
        codes, names = distinct(column)
        found = [names[at] for at in range(len(names))]
        wanted = np.array([name in (self.split, "") for name in found])
        rows = np.flatnonzero(wanted[codes])
        if not len(rows) and not self.problems:
            hint = f"there are rows of {', '.join(sorted(found)[:20])}"
            self.problems.add(Problem(f"no row is of the split {self.split!r}", Location(str(self.path)), hint))
        return rows

    def _values(self) -> tuple[np.ndarray | None, list[str]]:
        """Numbers to be predicted, NaN where there are none, and their names."""
        ways = [*(["value"] if "value" in self.columns else []), *(["values"] if "values" in self.columns else [])]
        if len(ways) + bool(self.named) > 1:
            said = ", ".join([*ways, *self.named])
            self.problems.add(Problem(f"values stand in {said}", Location(str(self.path)), "one way is enough"))
            return None, []
        if self.named:
            values = np.stack([self._numbers(name) for name in self.named], axis=1)
            return values, [name.removeprefix("value_") for name in self.named]
        if "value" in self.columns:
            return self._numbers("value"), ["value"]
        if "values" in self.columns:
            values = self._lists_of_numbers()
            return values, [f"value_{at + 1}" for at in range(values.shape[1])]
        return None, []

    def _numbers(self, name: str) -> np.ndarray:
        values, bad = numbers(self.columns[name])
        texts = self.columns[name]
        self._report(bad, lambda row: f"{name} should be a number, not {texts[row]!r}", "write 12.5, or mend the row")
        return values

    def _lists_of_numbers(self) -> np.ndarray:
        texts, separator = self.columns["values"], self.table.separator
        rows: dict[int, list[float]] = {}
        bad: list[int] = []
        for row in np.flatnonzero(texts.filled).tolist():
            try:
                rows[row] = [float(part) for part in texts[row].split(separator)]
            except ValueError:
                bad.append(row)
        width = len(next(iter(rows.values()), ()))
        values = np.full((self.count, width), np.nan)
        uneven = [row for row, found in rows.items() if len(found) != width]
        for row, found in rows.items():
            if len(found) == width:
                values[row] = found
        bad += [row for row, found in rows.items() if len(found) == width and not np.isfinite(found).all()]
        said = " or ".join(["numbers, separated by ;"] if separator == ";" else ["a list of numbers"])
        self._report(np.array(sorted(bad), np.int64), lambda row: f"values should be {said}, not {texts[row]!r}", MEND)
        self._report(
            np.array(uneven, np.int64),
            lambda row: f"the row has {len(rows[row])} values, the first one has {width}",
            "every row has a number for each value",
        )
        return values

    def _check_boxes(self) -> None:
        if "boxes" not in self.columns:
            return
        if self.table.separator == ";":
            hint = "a list does not fit into a field; write JSON lines"
            self.problems.add(Problem("boxes need a manifest of JSON lines", self.table.places["boxes"], hint))
            return
        texts = self.columns["boxes"]
        bad = [row for row in np.flatnonzero(texts.filled).tolist() if not _are_boxes(texts[row])]
        said = "boxes should be a list of [x1, y1, x2, y2] in 0..1, x1 <= x2 and y1 <= y2, not"
        self._report(
            np.array(bad, np.int64),
            lambda row: f"{said} {texts[row][:60]}",
            "pixels are divided by width and height of the frame",
        )

    def _check_targets(self) -> None:
        """Every row of the split says the same things in the same columns."""
        if self.problems:
            return
        if self.values is not None and {"label", "labels"} & self.columns.keys():
            hint = "outputs of a model are the one or the other; split the list in two"
            self.problems.add(Problem("the list has both classes and values", Location(str(self.path)), hint))
        for name in self.named:
            self._check_filled(f"{name}", [name])
        for what, columns in TARGETS.items():
            self._check_filled("label" if what == "class" else what, columns)
        for name in [name for name in self.columns if name not in ("path", "split", "start", "end")]:
            if not self.problems and not self.columns[name].filled[self.rows].any():
                del self.columns[name]  # only rows of another split say this
        if not set(TARGETS["value"]) & self.columns.keys() and not set(self.named) & self.columns.keys():
            self.values, self.value_names = None, []

    def _check_filled(self, what: str, columns: Any) -> None:
        filled = {name: self.columns[name].filled[self.rows] for name in columns if name in self.columns}
        counts = {name: int(rows.sum()) for name, rows in filled.items() if rows.any()}
        if not counts:
            return
        lacking = self.rows[~np.logical_or.reduce([*filled.values()])]
        if len(lacking):
            lines = [str(self.table.lines[row]) for row in lacking[:MOST].tolist()]
            also = f": lines {', '.join(lines)}" + (", ..." if len(lacking) > MOST else "") if len(lacking) > 1 else ""
            have = f"{len(lacking):,} row{'s have' if len(lacking) > 1 else ' has'} no {what}, the others do{also}"
            hint = "fill them in, take these rows out, or give them another `split`"
            self.problems.add(self._problem(int(lacking[0]), have, hint))
        if len(counts) > 1:
            rare = min(counts, key=lambda name: counts[name])
            usual = next(name for name in counts if name != rare)
            row = int(self.rows[filled[rare]][0])
            said = f"{counts[rare]:,} row{'s have' if counts[rare] > 1 else ' has'} {rare}, the others have {usual}"
            self.problems.add(self._problem(row, said, "use the same column in every row"))


def _are_boxes(text: str) -> bool:
    try:
        boxes = json.loads(text)
        boxes_n4 = np.array(boxes, np.float64)
    except (ValueError, TypeError, OverflowError):
        return False
    if boxes_n4.size == 0:
        return boxes_n4.shape == (0,)
    return (
        boxes_n4.ndim == 2
        and boxes_n4.shape[1] == 4
        and all(type(corner) in (int, float) for box in boxes for corner in box)
        and bool(((boxes_n4 >= 0) & (boxes_n4 <= 1)).all())
        and bool((boxes_n4[:, :2] <= boxes_n4[:, 2:]).all())
    )
