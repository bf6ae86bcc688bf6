"""A manifest of spans: films cut into scenes, windows or groups of pictures, each a sample of its own."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.clips.film_list import FILES, ListedFilm, is_address
from zoo.data.clips.slots import span_within
from zoo.data.decode.film import open_film
from zoo.data.decode.keyframe_times import keyframe_stamps
from zoo_registry.errors import DataError, Location

Span = tuple[float, float]
Cut = Callable[[ListedFilm], list[Span]]


@dataclass(frozen=True)
class SpanRow:
    """A row: a film, what is known of it, and the span in seconds from its first frame."""

    film: ListedFilm
    span: Span


def keyframe_spans(film: ListedFilm) -> list[Span]:
    """From each keyframe to the next, within the film's own span; what lies before the first goes with it.

    Raises:
        UndecodableMedia: with the file and the reason.
    """
    with open_film(film.path) as opened:
        begin, stop = span_within(opened, film.start, film.end)
        tick = float(opened.video.time_base or 0)
        starts = [stamp - opened.timeline.origin for stamp in keyframe_stamps(opened)]
        edges = [begin, *(start for start in starts if begin + tick < start < stop - tick), stop]
    return list(itertools.pairwise(edges))


def write_spans(path: Path, rows: Sequence[SpanRow], *, force: bool = False) -> None:
    """Write a manifest for the source `manifest`: path, all of the films' own columns, start and end.

    Paths below the manifest's folder are relative to it, so that both can be moved together.

    Args:
        path: a `.csv` file, or `.jsonl` for columns that hold lists of lists, such as boxes.
        rows: what it lists.
        force: write over a file that is there.

    Raises:
        DataError: as `check_new`; nothing to list; lists that do not fit into a field.
    """
    check_new(path, force=force)
    if not rows:
        hint = "the films may be shorter than a span"
        raise DataError("there is no span to write", where=Location(str(path)), hint=hint)
    base = path.parent.resolve()
    said = [_said(row, base) for row in rows]
    text = _json_lines(said) if path.suffix.lower() == ".jsonl" else _table(said, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _said(row: SpanRow, base: Path) -> dict[str, Any]:
    """A row's columns, with paths from the manifest's folder."""
    about = dict(row.film.about)
    about |= {name: _relative(about[name], base) for name in FILES if isinstance(about.get(name), str)}
    start, end = (round(seconds, 6) for seconds in row.span)
    return {"path": _relative(row.film.path, base), **about, "start": start, "end": end}


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _table(rows: Sequence[Mapping[str, Any]], path: Path) -> str:
    own = dict.fromkeys(name for row in rows for name in row if name not in ("path", "start", "end"))
    text = io.StringIO()
    writer = csv.DictWriter(text, ["path", *own, "start", "end"], restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _field(name, value, path) for name, value in row.items()})
    return text.getvalue()


def _field(name: str, value: Any, path: Path) -> str:
    """A value as it stands in a field; several are separated by semicolons.

    Raises:
        DataError: a value that does not fit into a field.
    """
    if isinstance(value, float) and name in ("start", "end"):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, list | dict) or (item is not value and ";" in str(item)) for item in items):
        message = f"{name} {json.dumps(value)[:60]} does not fit into a field of a table"
        raise DataError(message, where=Location(str(path)), hint="write JSON lines: --out spans.jsonl")
    return ";".join(map(str, items))


def check_new(path: Path, *, force: bool) -> None:
    """See that a manifest may be written, before films are read for hours.

    Raises:
        DataError: it is there already, or its name is not that of a manifest.
    """
    if path.suffix.lower() not in (".csv", ".jsonl"):
        message = "a manifest of spans is a .csv or .jsonl file"
        raise DataError(message, where=Location(str(path)), hint="--out spans.csv")
    if path.exists() and not force:
        raise DataError("it is there already", where=Location(str(path)), hint="--force writes over it")


def _relative(path: Path | str, base: Path) -> str:
    if is_address(path):
        return str(path)
    absolute = Path(path).resolve()
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else str(absolute)
