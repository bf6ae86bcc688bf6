"""A manifest of spans: films cut into scenes, windows or groups of pictures, each a sample of its own."""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.data.clips.film_list import ListedFilm
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
    """Write a manifest for the source `manifest`: path, the films' own columns, start and end.

    Paths of films below the manifest's folder are relative to it, so that both can be moved together.

    Args:
        path: a `.csv` file.
        rows: what it lists.
        force: write over a file that is there.

    Raises:
        DataError: as `check_new`, or there is nothing to list.
    """
    check_new(path, force=force)
    if not rows:
        raise DataError("there is no span to write", where=Location(str(path)))
    known = [name for name in ("label", "labels", "split") if any(name in row.film.about for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["path", *known, "start", "end"], restval="", lineterminator="\n")
    writer.writeheader()
    base = path.parent.resolve()
    for row in rows:
        about = {name: row.film.about.get(name, "") for name in known}
        start, end = (f"{seconds:.6f}".rstrip("0").rstrip(".") for seconds in row.span)
        writer.writerow({"path": _relative(row.film.path, base), **about, "start": start, "end": end})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text.getvalue(), encoding="utf-8", newline="")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_new(path: Path, *, force: bool) -> None:
    """See that a manifest may be written, before films are read for hours.

    Raises:
        DataError: it is there already, or its name is not that of a CSV file.
    """
    if path.suffix.lower() != ".csv":
        raise DataError("a manifest of spans is a .csv file", where=Location(str(path)), hint="--out spans.csv")
    if path.exists() and not force:
        raise DataError("it is there already", where=Location(str(path)), hint="--force writes over it")


def _relative(film: Path, base: Path) -> str:
    absolute = film.resolve()
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else str(absolute)
