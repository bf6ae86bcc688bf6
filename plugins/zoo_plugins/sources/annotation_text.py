"""Text of the files that a data set's makers publish."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo_registry.errors import DataError, Location

MEND = "the official list has no such line: fetch it again, or mend the line"
"""What to do about a line that makes no sense."""

FETCH = "fetch the official list again; this one is not the whole of it"
"""What to do about a list that holds nothing."""


def listed(names: Sequence[str]) -> str:
    """A few names for a message."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of an annotation file that are not empty, numbered from 1, without blanks around them.

    Raises:
        DataError: no such file, or no text.
    """
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def csv_rows(path: Path) -> Iterator[tuple[Location, list[str]]]:
    """The rows of a file of comma-separated values, each with its place.

    Raises:
        DataError: no such file, no text, or no such values.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""))
    try:
        for row in filter(None, reader):
            yield Location(str(path), reader.line_num, 1), row
    except csv.Error as error:
        where = Location(str(path), reader.line_num, 1)
        raise DataError(f"this is no CSV: {error}", where=where, hint="look for a quote that nothing closes") from error


def csv_records(path: Path, columns: Sequence[str], official: str) -> Iterator[tuple[Location, dict[str, str]]]:
    """The rows by the names of the header; a field that is not there is an empty one.

    Args:
        path: of the file.
        columns: that have to be there.
        official: header of the official list, for the message.

    Raises:
        DataError: as `csv_rows`, or columns are not there.
    """
    rows = csv_rows(path)
    _, header = next(rows, (None, []))
    names = [name.strip() for name in header]
    if lacking := [name for name in columns if name not in names]:
        hint = f"the official list begins with {official}; this begins with {listed(names) or 'nothing'}"
        raise DataError(f"this list has no column {', '.join(lacking)}", where=Location(str(path), 1, 1), hint=hint)
    for where, row in rows:
        yield where, dict.fromkeys(names, "") | dict(zip(names, row, strict=False))


def text_of(path: Path) -> str:
    """An annotation file's text.

    Raises:
        DataError: no such file, or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        beside = sorted(file.name for file in path.parent.iterdir()) if path.parent.is_dir() else []
        hint = f"its folder holds {listed(beside)}" if beside else "`annotations` is where the official files lie"
        message = f"cannot read this annotation file: {error.strerror}"
        raise DataError(message, where=Location(str(path)), hint=hint) from error
    except UnicodeDecodeError as error:
        hint = "fetch it again: the official lists are UTF-8"
        raise DataError("this annotation file is not UTF-8 text", where=Location(str(path)), hint=hint) from error
