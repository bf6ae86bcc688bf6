"""Films to work through: one, those below a folder, or those that a manifest lists, with what is known of each."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from zoo_registry.errors import DataError, Location, Problem

FILMS = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
    | {".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
"""Endings of files that count as films below a folder."""

TABLES = frozenset({".csv", ".tsv", ".txt"})
"""Endings of manifests with a header and separated values."""

MANIFESTS = TABLES | {".json", ".jsonl", ".ndjson"}
"""Endings of manifests; those that are no tables hold a JSON object a line."""

FILES = ("target", "mask")
"""Columns with paths, which start from the manifest's folder."""

BLANKS = " \t"
"""What is taken off both ends of a field."""

MOST = 20
"""Problems of a manifest that are told one by one."""

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ListedFilm:
    """A film, or a span of one.

    Attributes:
        path: of the file, or its address on a server.
        about: other columns of its row that say something, such as `label` and `split`, as the manifest has them: texts
            of a table, any value of JSON.
        start: of the span, in seconds from the first frame; None for the film's beginning.
        end: of the span; None for the film's end.
    """

    path: Path | str
    about: Mapping[str, Any] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None


def list_films(source: Path) -> list[ListedFilm]:
    """The films that a path stands for.

    Args:
        source: a film; a folder, where the folder that a film lies in is its label (below `train`, `val` or `test`,
            where it has these); or a manifest (`.csv`, `.tsv`, `.txt`, or JSON lines) with a column `path`, read as
            the source `manifest` reads it, but for columns that it does not know: they are kept.

    Raises:
        DataError: there is nothing, a folder without films, a manifest that cannot be read or lists nothing.

    Example:
        >>> list_films(Path("data"))                                                    # doctest: +SKIP
        [ListedFilm(path=PosixPath('data/train/cat/1.mp4'), about={'label': 'cat', 'split': 'train'}, ...)]
    """
    if source.is_dir():
        films = [ListedFilm(path, _place(path.relative_to(source))) for path in _below(source)]
    elif not source.exists():
        raise DataError(
            "there is no such file or folder", where=Location(str(source)), hint="paths start from where you are"
        )
    elif source.suffix.lower() in MANIFESTS:
        films = list(_rows(source))
    else:
        films = [ListedFilm(source)]
    if not films:
        raise DataError(
            "there is no film in it", where=Location(str(source)), hint="films end in .mp4, .avi, .mkv, ..."
        )
    return films


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            Path(parent, name)
            for name in sorted(names)
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in FILMS
        )


def _place(relative: Path) -> dict[str, str]:
    """What the folders that a film lies in say of it."""
    folders = list(relative.parts[:-1])
    about = {"split": folders.pop(0)} if folders and folders[0] in SPLITS else {}
    return {"label": folders[0], **about} if folders else about


def _rows(manifest: Path) -> Iterator[ListedFilm]:
    """The rows of a manifest, read by the rules of the source of that name; of all its problems the first are told.

    Raises:
        DataError: it cannot be read, or rows of it make no sense.
    """
    where = Location(str(manifest))
    problems: list[Problem] = []
    films: list[ListedFilm] = []
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            rows = _csv_rows if manifest.suffix.lower() in TABLES else _json_rows
            for line, row in rows(file, manifest, problems):
                try:
                    films.append(_film(row, manifest.parent))
                except ValueError as error:
                    problems.append(
                        Problem(str(error), Location(str(manifest), line, 1), "mend the row, or take it out")
                    )
    except OSError as error:
        raise DataError(
            f"cannot read this manifest: {error.strerror}", where=where, hint="may you read the file?"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError("this manifest is not UTF-8 text", where=where, hint="save it as UTF-8") from error
    except csv.Error as error:
        hint = "look for a quote that nothing closes"
        raise DataError(f"this is no CSV: {error}", where=where, hint=hint) from error
    if problems:
        more = [Problem(f"and {len(problems) - MOST:,} more")] if len(problems) > MOST else []
        raise DataError([*problems[:MOST], *more])
    yield from films


def _csv_rows(file: TextIO, manifest: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(file, delimiter="\t" if manifest.suffix.lower() == ".tsv" else ",", strict=True)
    rows = filter(None, reader)
    names = [name.strip(BLANKS) for name in next(rows, [])]
    for name in sorted({name for name in names if names.count(name) > 1}):
        message = f"column {name!r} is there {names.count(name)} times"
        problems.append(Problem(message, Location(str(manifest), 1, 1), "rename one of them"))
    for row in rows:
        if (extra := len(row) - len(names)) > 0:
            message = f"the row has {extra} more field{'s' if extra > 1 else ''} than the header"
            hint = 'a field with a comma in it needs quotes: "a, b"'
            problems.append(Problem(message, Location(str(manifest), reader.line_num, 1), hint))
        said = dict(zip(names, (field.strip(BLANKS) for field in row), strict=False))
        for name in [name for name, text in said.items() if "\n" in text and name not in ("path", *FILES)]:
            message = f"the {name} runs over a line break: {said[name][:60]!r}"
            hint = "look for a quote that nothing closes"
            problems.append(Problem(message, Location(str(manifest), reader.line_num, 1), hint))
        yield reader.line_num, said


def _json_rows(file: TextIO, manifest: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(file, start=1):
        if not content.strip():
            continue
        where = Location(str(manifest), line, 1)
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(f"no JSON: {getattr(error, 'msg', error)}", where, "one object a line"))
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            problems.append(Problem("a row should be a JSON object", where, "one object a line"))


def _film(row: Mapping[str, Any], base: Path) -> ListedFilm:
    """What a row says.

    Raises:
        ValueError: what is wrong with it.
    """
    path = row.get("path")
    if path is None or path == "":
        raise ValueError("the row has no path")
    if not isinstance(path, str):
        raise ValueError(f"path should be a text, not {json.dumps(path)[:60]}")
    start, end = _seconds(row, "start"), _seconds(row, "end")
    if start is not None and end is not None and end <= start:
        raise ValueError(f"the span from {start:g} s to {end:g} s is empty")
    about = {name: value for name, value in row.items() if name not in ("path", "start", "end")}
    about |= {
        name: str(placed(base, about[name])) for name in FILES if isinstance(about.get(name), str) and about[name]
    }
    return ListedFilm(
        placed(base, path), {name: value for name, value in about.items() if value not in (None, "")}, start, end
    )


def _seconds(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name} should be seconds from the film's beginning, not {value!r}")
    return seconds


def placed(base: Path, path: str) -> Path | str:
    """A path of a manifest in a folder; an address stays as it is."""
    return path if is_address(path) else base / path


def is_address(path: Path | str) -> bool:
    """Whether it lies on a server.

    Example:
        >>> is_address("https://example.org/a.mp4"), is_address("films/a.mp4")
        (True, False)
    """
    return isinstance(path, str) and path.startswith(("http://", "https://"))
