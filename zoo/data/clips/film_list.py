"""Films to work through: one, those below a folder, or those that a manifest lists, with what is known of each."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_registry.errors import DataError, Location

FILMS = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
    | {".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
"""Endings of files that count as films below a folder."""

MANIFESTS = frozenset({".csv", ".tsv", ".jsonl"})
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ListedFilm:
    """A film, or a span of one.

    Attributes:
        path: of the file.
        about: other columns of its row, such as `label` and `split`; empty where nothing is known.
        start: of the span, in seconds from the first frame; None for the film's beginning.
        end: of the span; None for the film's end.
    """

    path: Path
    about: Mapping[str, str] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None


def list_films(source: Path) -> list[ListedFilm]:
    """The films that a path stands for.

    Args:
        source: a film; a folder, where the folder that a film lies in is its label (below `train`, `val` or `test`,
            where it has these); or a manifest (`.csv`, `.tsv`, `.jsonl`) with a column `path`.

    Raises:
        DataError: there is nothing, a folder without films, a manifest that cannot be read or lists nothing.

    Example:
        >>> list_films(Path("data"))                                                    # doctest: +SKIP
        [ListedFilm(path=PosixPath('data/train/cat/1.mp4'), about={'label': 'cat', 'split': 'train'}, ...)]
    """
    if source.is_dir():
        films = [ListedFilm(path, _place(path.relative_to(source))) for path in _below(source)]
    elif not source.exists():
        raise DataError("there is no such file or folder", where=Location(str(source)))
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
    where = Location(str(manifest))
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            for line, row in _csv_rows(file, manifest) if manifest.suffix != ".jsonl" else _json_rows(file, manifest):
                yield _film(row, manifest.parent, Location(str(manifest), line, 1))
    except OSError as error:
        raise DataError(f"cannot read this manifest: {error.strerror}", where=where) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read this manifest: {error}", where=where) from error


def _csv_rows(file: Any, manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(file, delimiter="\t" if manifest.suffix.lower() == ".tsv" else ",")
    for row in reader:
        yield reader.line_num, {key.strip(): (value or "").strip() for key, value in row.items() if key is not None}


def _json_rows(file: Any, manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(file, start=1):
        if content.strip():
            try:
                row = json.loads(content)
            except ValueError as error:
                raise DataError(f"no JSON: {error}", where=Location(str(manifest), line, 1)) from error
            if not isinstance(row, dict):
                raise DataError("a row should be a JSON object", where=Location(str(manifest), line, 1))
            yield line, row


def _film(row: Mapping[str, Any], base: Path, where: Location) -> ListedFilm:
    if not isinstance(row.get("path"), str) or not row["path"]:
        raise DataError("the row has no path", where=where, hint="a manifest needs a column `path`")
    try:
        start, end = (float(row[key]) if row.get(key) not in (None, "") else None for key in ("start", "end"))
    except (TypeError, ValueError) as error:
        raise DataError("start and end should be seconds", where=where) from error
    about = {key: _field(value) for key, value in row.items() if key not in ("path", "start", "end")}
    return ListedFilm(base / row["path"], {key: value for key, value in about.items() if value}, start, end)


def _field(value: Any) -> str:
    """A value as it stands in a field of a CSV file; several are separated by semicolons."""
    if isinstance(value, list):
        return ";".join(map(str, value))
    return "" if value is None else str(value)
