"""Films listed in a CSV or JSON-lines file."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo_plugins.sources.sample_list import SampleList
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.names import nearest
from zoo_registry.protocols import Provided, Sample

COLUMNS = ("path", "label", "labels", "start", "end", "split")
SEPARATOR = ";"
"""Between several `labels` in one field of a CSV file."""

Row = tuple[int, Mapping[str, Any]]


def manifest(*, path: Path, split: Provided[str]) -> SampleList:
    """Read samples from a list.

    Args:
        path: a file of comma-separated values with a header (`.csv`) or of one JSON object a line (`.jsonl`). Columns:
            `path` of the film, relative to this file; `label`, one class name, or `labels`, several (a JSON list, or
            separated by `;`); `start` and `end` of the span in seconds; `split`. Only `path` is needed, empty fields
            count as missing.
        split: rows of another split are left out, where there is such a column.

    Returns:
        samples with `label_b` or `label_bk`, in the order of the file; classes in alphabetical order.

    Raises:
        DataError: a file that cannot be read, unknown columns, bad rows (each with its line), no row of the split.

    Example:
        >>> manifest(path=Path("films/labels.csv"), split="val").samples[0].key      # doctest: +SKIP
        'cooking/0001.mp4'
    """
    rows = list(_rows(path))
    problems: list[Problem] = [*_unknown_columns(path, rows)]
    samples: list[Sample] = []
    for line, row in rows:
        try:
            if (sample := _sample(row, path.parent, split)) is not None:
                samples.append(sample)
        except ValueError as error:
            problems.append(Problem(str(error), Location(str(path), line, 1)))
    if not problems:
        problems += _unfit(samples, rows, path, split)
    if problems:
        raise DataError(problems)
    names = {name for sample in samples for name in _names(sample)}
    return SampleList(samples, sorted(names))


def _rows(path: Path) -> Iterator[Row]:
    """Every row with its line; empty fields are left out."""
    where = Location(str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read this manifest: {error.strerror}", where=where) from error
    except UnicodeDecodeError as error:
        raise DataError("this manifest is not UTF-8 text", where=where, hint="save it as UTF-8") from error
    read = _csv_rows if path.suffix.lower() in {".csv", ".tsv", ".txt"} else _json_rows
    for line, row in read(text, path):
        yield line, {key: value for key, value in row.items() if value not in (None, "")}


def _csv_rows(text: str, path: Path) -> Iterator[Row]:
    reader = csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    for row in reader:
        if None in row:
            raise DataError(
                f"the row has {len(row[None])} more fields than the header",  # type: ignore[call-overload]
                where=Location(str(path), reader.line_num, 1),
                hint='a field with a comma in it needs quotes: "a, b"',
            )
        yield reader.line_num, {key.strip(): (value or "").strip() for key, value in row.items()}


def _json_rows(text: str, path: Path) -> Iterator[Row]:
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except ValueError as error:
            column = getattr(error, "colno", 1)
            message = f"no JSON: {getattr(error, 'msg', error)}"
            raise DataError(message, where=Location(str(path), line, column), hint="one object a line") from error
        if not isinstance(row, dict):
            raise DataError("a row should be a JSON object", where=Location(str(path), line, 1))
        yield line, row


def _unknown_columns(path: Path, rows: list[Row]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for line, row in rows:
        for key in row:
            seen.setdefault(key, line)
    for key, line in seen.items():
        if key not in COLUMNS:
            near = nearest(key, COLUMNS)
            meant = f"did you mean {near[0]!r}? " if near else ""
            where = Location(str(path), 1 if path.suffix.lower() == ".csv" else line, 1)
            yield Problem(f"unknown column {key!r}", where, f"{meant}columns are {', '.join(COLUMNS)}")


def _sample(row: Mapping[str, Any], base: Path, split: str) -> Sample | None:
    """The sample of a row, None for one of another split; ValueError says what is wrong."""
    if not isinstance(row.get("path"), str):
        raise ValueError("the row has no path")
    if "label" in row and "labels" in row:
        raise ValueError("the row has both a label and labels")
    start, end = _seconds(row, "start"), _seconds(row, "end")
    if start is not None and end is not None and end <= start:
        raise ValueError(f"the span from {start:g} s to {end:g} s is empty")
    if row.get("split", split) != split:
        return None
    targets: dict[str, Any] = {}
    if "label" in row:
        targets["label_b"] = str(row["label"])
    elif "labels" in row:
        names = row["labels"].split(SEPARATOR) if isinstance(row["labels"], str) else row["labels"]
        if not isinstance(names, list):
            raise ValueError("labels should be a list of class names")
        targets["label_bk"] = [str(name).strip() for name in names]
    return Sample(str(base / row["path"]), targets, start, end, key=_key(row["path"], start, end))


def _seconds(row: Mapping[str, Any], column: str) -> float | None:
    if column not in row:
        return None
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{column} should be seconds from the film's beginning, not {row[column]!r}")
    return value


def _key(path: str, start: float | None, end: float | None) -> str:
    if start is None and end is None:
        return path
    return f"{path} [{start or 0:g} s to {'end' if end is None else f'{end:g} s'}]"


def _names(sample: Sample) -> list[str]:
    if "label_b" in sample.targets:
        return [sample.targets["label_b"]]
    names: list[str] = sample.targets.get("label_bk", [])
    return names


def _unfit(samples: list[Sample], rows: list[Row], path: Path, split: str) -> Iterator[Problem]:
    """What is wrong with the list as a whole."""
    where = Location(str(path))
    if not rows:
        yield Problem("this manifest lists nothing", where, "a header line and one row per film")
    elif not samples:
        found = ", ".join(sorted({str(row["split"]) for _, row in rows if "split" in row}))
        yield Problem(f"no row is of the split {split!r}", where, f"there are rows of {found}")
    elif not any(Path(sample.media).exists() for sample in samples):
        example = samples[0].media
        yield Problem(
            f"none of its {len(samples)} files of the {split} split exists, such as {example}",
            where,
            f"paths are relative to the manifest's folder, {path.parent}",
        )
    labelled = [bool(_names(sample)) for sample in samples]
    if any(labelled) and not all(labelled):
        line = next(line for line, row in rows if row.get("split", split) == split and not {"label", "labels"} & {*row})
        count = labelled.count(False)
        yield Problem(
            f"{count} row{'s have' if count > 1 else ' has'} no label, the others do", Location(str(path), line, 1)
        )
