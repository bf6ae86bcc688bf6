"""A manifest's file as columns of text, each row with its line."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo_plugins.sources.columns import CHUNK, SLACK, Texts, TextWriter, place_type
from zoo_registry.errors import DataError, Location, Problem

FILES = ("path", "target", "mask")
"""Columns that name files; a file's name may hold any sign."""

RENAME = "rename one of them"
"""What to do about a column that is there twice."""

BYTE_ORDER_MARK = codecs.BOM_UTF8


@dataclass(frozen=True)
class Table:
    """Columns of text.

    Attributes:
        columns: by name, blanks around the texts removed; an empty text is a missing one.
        lines: (n,) whole numbers, the line of the file each row ends on.
        separator: between several things in one text.
        places: of each column's name, for messages.
        problems: found while reading.
    """

    columns: Mapping[str, Texts]
    lines: np.ndarray
    separator: str
    places: Mapping[str, Location]
    problems: tuple[Problem, ...] = ()


def read_table(path: Path, known: Callable[[str], bool]) -> Table:
    """Read a `.csv`, `.tsv` or `.txt` file with a header, or JSON lines.

    Args:
        path: of the file.
        known: whether a column of this name is wanted; others keep their place only.

    Raises:
        DataError: a file that cannot be read at all. What is wrong with single rows is in `problems`.
    """
    content = _content(path)
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return _json_lines(content, path, known)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    return _plain_csv(content, path, delimiter, known) or _any_csv(content, path, delimiter, known)


def _content(path: Path) -> bytearray:
    """The file's bytes, `SLACK` zeros behind them; UTF-8 for sure."""
    where = Location(str(path))
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            content = bytearray(size + SLACK)
            read = file.readinto(memoryview(content)[:size])
    except OSError as error:
        hint = "relative paths start from the recipe's folder"
        raise DataError(f"cannot read this manifest: {error.strerror}", where=where, hint=hint) from error
    del content[read:size]
    if content.startswith(BYTE_ORDER_MARK):
        del content[: len(BYTE_ORDER_MARK)]
    if not content.isascii():
        _check_utf8(content, where)
    return content


def _check_utf8(content: bytearray, where: Location) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(content), 1 << 20):  # in pieces: the whole text would cost up to four times its bytes
            decoder.decode(content[at : at + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise DataError("this manifest is not UTF-8 text", where=where, hint="save it as UTF-8") from error


# ---------------------------------------------------------------------------------------------- comma-separated values


def _plain_csv(content: bytearray, path: Path, delimiter: str, known: Callable[[str], bool]) -> Table | None:
    """Columns by searching all separators at once; None where quotes hide some, or rows have other lengths."""
    size = len(content) - SLACK
    if content.count(b"\r") != content.count(b"\r\n") or content.find(b"\0", 0, size) >= 0:
        return None
    buffer = np.frombuffer(content, np.uint8)
    kind = place_type(len(buffer))
    starts, ends = _lines(buffer[:size], kind)
    filled = np.flatnonzero(ends > starts)
    if not len(filled):
        return None
    first, filled = filled[0], filled[1:]
    header = content[starts[first] : ends[first]].decode()
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    if header.count('"') % 2 or header.count(delimiter) != len(names) - 1:
        return None
    starts, ends = starts[filled], ends[filled]
    between = _places(buffer[:size], delimiter, kind)[len(names) - 1 :]
    if len(between) != len(starts) * (len(names) - 1):
        return None
    between = between.reshape(len(starts), len(names) - 1)
    if len(names) > 1 and not ((between[:, 0] >= starts) & (between[:, -1] < ends)).all():
        return None
    places, problems = _header(names, path)
    edges = [starts, *(between[:, at] + kind.type(1) for at in range(between.shape[1]))]
    stops = [*(between[:, at] for at in range(between.shape[1])), ends]
    quotes = content.count(b'"') - header.count('"')
    columns: dict[str, Texts] = {}
    for name, begin, stop in zip(names, edges, stops, strict=True):
        if quotes:
            begin, stop, found = _unquoted(buffer, begin, stop)
            quotes -= found
        if known(name):
            columns[name] = Texts(buffer, np.ascontiguousarray(begin), np.ascontiguousarray(stop)).stripped()
    if quotes:  # some are not around a whole field: there may be separators between them
        return None
    return Table(columns, filled.astype(kind) + kind.type(1), ";", places, problems)


def _unquoted(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Fields without the quotes around them, and how many quotes those are."""
    last = np.maximum(ends, 1) - 1
    around = (ends > starts + 1) & (buffer[starts] == ord('"')) & (buffer[last] == ord('"'))
    inset = around.astype(starts.dtype)
    return starts + inset, ends - inset, 2 * int(around.sum())


def _places(buffer: np.ndarray, letter: str, kind: np.dtype[Any]) -> np.ndarray:
    """Where a letter stands."""
    step = 1 << 22  # in pieces: comparing all at once would take the file's size again
    pieces = [
        (np.flatnonzero(buffer[at : at + step] == ord(letter)) + at).astype(kind) for at in range(0, len(buffer), step)
    ]
    return np.concatenate(pieces) if pieces else np.zeros(0, kind)


def _lines(buffer: np.ndarray, kind: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Where every line starts and ends, its line break not counted."""
    breaks = _places(buffer, "\n", kind)
    starts = np.concatenate([np.zeros(1, kind), breaks + kind.type(1)])
    ends = np.concatenate([breaks, np.array([len(buffer)], kind)])
    returns = (ends > starts) & (buffer[np.maximum(ends, 1) - 1] == ord("\r")) if len(buffer) else ends > starts
    return starts, ends - returns.astype(kind)


def _header(names: list[str], path: Path) -> tuple[dict[str, Location], tuple[Problem, ...]]:
    place = Location(str(path), 1, 1)
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [Problem(f"column {name!r} is there {names.count(name)} times", place, RENAME) for name in twice]
    return dict.fromkeys(names, place), tuple(problems)


def _any_csv(content: bytearray, path: Path, delimiter: str, known: Callable[[str], bool]) -> Table:
    """Columns by Python's own reader, for everything that a CSV file may be."""
    text = content[: len(content) - SLACK].decode()
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    problems: list[Problem] = []
    lines: list[int] = []
    writer = TextWriter()
    try:
        names = [name.strip(" \t") for name in next(filter(None, reader), [])]
        places, twice = _header(names, path)
        wanted = [(at, name) for at, name in enumerate(names) if known(name)]
        rows = filter(None, reader)
        while some := list(_with_lines(rows, reader, lines)):
            fields = list(itertools.zip_longest(*some, fillvalue=""))
            found = {name: [text.strip(" \t") for text in fields[at]] for at, name in wanted if at < len(fields)}
            for name, texts in found.items():
                if name not in FILES:
                    problems += _run_on(name, texts, lines[-len(some) :], path)
            if len(fields) > len(names):
                problems += _too_long(some, lines[-len(some) :], len(names), path)
            writer.extend(len(some), found)
    except csv.Error as error:
        where = Location(str(path), reader.line_num, 1)
        raise DataError(f"this is no CSV: {error}", where=where, hint="look for a quote that nothing closes") from error
    return Table(writer.columns(), np.array(lines, np.int64), ";", places, (*twice, *problems))


def _with_lines(rows: Iterator[list[str]], reader: Any, lines: list[int]) -> Iterator[list[str]]:
    """The next rows, the line on which each ends put to the others."""
    for row in itertools.islice(rows, CHUNK):
        lines.append(reader.line_num)
        yield row


def _run_on(name: str, texts: list[str], lines: list[int], path: Path) -> Iterator[Problem]:
    """Fields with rows in them: two stray quotes would hide what stands between them."""
    for text, line in zip(texts, lines, strict=True):
        if "\n" in text:
            message = f"the {name} runs over a line break: {text[:60]!r}"
            yield Problem(message, Location(str(path), line, 1), "look for a quote that nothing closes")


def _too_long(rows: list[list[str]], lines: list[int], width: int, path: Path) -> Iterator[Problem]:
    for row, line in zip(rows, lines, strict=True):
        if (extra := len(row) - width) > 0:
            message = f"the row has {extra} more field{'s' if extra > 1 else ''} than the header"
            yield Problem(message, Location(str(path), line, 1), 'a field with a comma in it needs quotes: "a, b"')


# ---------------------------------------------------------------------------------------------------------- JSON lines

JSON_CHUNK = 4_096
"""Lines that are parsed at once."""

JSON_SEPARATOR = "\x1f"
"""ASCII's unit separator: names in a JSON list may hold any sign that a person types."""


def _json_lines(content: bytearray, path: Path, known: Callable[[str], bool]) -> Table:
    problems: list[Problem] = []
    places: dict[str, Location] = {}
    lines: list[int] = []
    writer = TextWriter()
    del content[len(content) - SLACK :]
    numbered = enumerate(io.BytesIO(content), start=1)
    del content[:]  # the reader has its own
    while some := list(itertools.islice(numbered, JSON_CHUNK)):
        some = [(line, raw) for line, raw in some if not raw.isspace()]
        rows = _all_objects(some)
        if rows is None:  # something is wrong: one by one, to say where
            found = [(line, _object(raw, line, path, problems)) for line, raw in some]
            some = [(line, b"") for line, row in found if row is not None]
            rows = [row for _, row in found if row is not None]
        names = {name: None for row in rows for name in row}
        for name in names.keys() - places.keys():
            line = next(line for (line, _), row in zip(some, rows, strict=True) if name in row)
            places[name] = Location(str(path), line, 1)
        found_lines = [line for line, _ in some]
        columns = {name: _column(name, rows, found_lines, path, problems) for name in filter(known, names)}
        writer.extend(len(rows), columns)
        lines += found_lines
    return Table(writer.columns(), np.array(lines, np.int64), JSON_SEPARATOR, places, tuple(problems))


def _all_objects(lines: list[tuple[int, bytes]]) -> list[dict[str, Any]] | None:
    """What the lines hold, parsed at once; None unless it is an object each."""
    try:
        rows = json.loads(b"[" + b",".join([raw for _, raw in lines]) + b"]")
    except (ValueError, RecursionError):
        return None
    return rows if len(rows) == len(lines) and all(type(row) is dict for row in rows) else None


def _object(raw: bytes, line: int, path: Path, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError) as error:
        column = getattr(error, "colno", 1)
        message = f"no JSON: {getattr(error, 'msg', error)}"
        problems.append(Problem(message, Location(str(path), line, column), "one object a line"))
        return None
    if not isinstance(row, dict):
        problems.append(Problem("a row should be a JSON object", Location(str(path), line, 1), "one object a line"))
        return None
    return row


def _column(name: str, rows: list[dict[str, Any]], lines: list[int], path: Path, problems: list[Problem]) -> list[str]:
    """A column's values as texts."""
    values = [row.get(name) for row in rows]
    kinds = set(map(type, values))
    if kinds == {str} and name not in LISTS:
        return values
    if kinds <= {int, float} and name not in TEXTS:
        return list(map(repr, values))
    texts = []
    for value, line in zip(values, lines, strict=True):
        try:
            texts.append(_as_text(name, value))
        except ValueError as error:
            texts.append("?" if name == "path" else "")  # a missing path would be a second problem
            problems.append(Problem(str(error), Location(str(path), line, 1), "mend the row, or take it out"))
    return texts


def _as_text(name: str, value: Any) -> str:
    """A value of a JSON row as the text that a CSV file would have."""
    if isinstance(value, str):
        return value.replace(";", JSON_SEPARATOR) if name in LISTS else value
    if value is None:
        return ""
    if name == "boxes":
        return json.dumps(value)
    if isinstance(value, list) and name in LISTS:
        if all(isinstance(item, str) or _is_number(item) for item in value):
            return JSON_SEPARATOR.join(str(item).strip() for item in value) or JSON_SEPARATOR
    elif _is_number(value) and name not in TEXTS:
        return repr(value)
    wanted = "a list of names or numbers" if name in LISTS else "a text" if name in TEXTS else "a text or a number"
    raise ValueError(f"{name} should be {wanted}, not {json.dumps(value)[:60]}")


LISTS = ("labels", "values")
"""Columns that may hold several things."""

TEXTS = (*LISTS, "path", "target", "mask")
"""Columns in which a lone number makes no sense."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
