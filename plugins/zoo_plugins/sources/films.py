"""Films and pictures of which nothing is known, as tasks want them that need no labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

from zoo_plugins.sources.folder import SUFFIXES
from zoo_plugins.sources.sample_list import SampleList
from zoo_registry import Range
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Provided, Sample


def films(
    *, path: Path, names: list[str] | None = None, times: Annotated[int, Range(ge=1)] = 1, split: Provided[str]
) -> SampleList:
    """List the films and pictures below a folder, at any depth, without labels.

    Args:
        path: the folder, or one with a folder for each split (`train`, `val`, `test`); or a single film.
        names: which of them: file names or patterns, such as `bikes.mp4` or `*.png`; all by default.
        times: how often each is listed. In training another clip is drawn of it every time, and they come in any order,
            so that a few long films make a long epoch; `data.repeat` shows a sample several times in a row.
        split: which folder of a split, where there is one.

    Returns:
        samples in the order of their paths, each with the target `film`: its path from the folder without the ending.

    Raises:
        DataError: nothing there, no film or picture in it, names that no file has; all at once.

    Example:
        >>> films(path=Path("set5"), split="val").samples[0].targets                    # doctest: +SKIP
        {'film': 'bird'}
    """
    where = Location(str(path))
    if not path.exists():
        raise DataError("there is no such file or folder", where=where, hint="relative paths start from the recipe")
    if path.is_file():
        return SampleList([_sample(path.parent, path.name)] * times, ())
    root = path / split if (path / split).is_dir() else path
    found = list(_below(root))
    if not found:
        raise DataError(
            "there is no film or picture in it",
            where=Location(str(root)),
            hint="media end in .mp4, .avi, .mkv, .webm, .mov, .png, .jpg, ...",
        )
    if names is not None:
        found = _named(found, names, root)
    return SampleList([_sample(root, name) for name in found] * times, ())


def _sample(root: Path, name: str) -> Sample:
    return Sample(str(root / name), {"film": os.path.splitext(name)[0]}, key=name)


def _below(root: Path) -> list[str]:
    """Paths from the folder, sorted."""
    found = []
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(parent, name).relative_to(root).as_posix()
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
        ]
    return sorted(found)


def _named(found: Sequence[str], names: Sequence[str], root: Path) -> list[str]:
    """Those that a pattern fits, by their whole path or the name alone."""

    def fits(path: str, pattern: str) -> bool:
        return fnmatch(path, pattern) or fnmatch(path.rpartition("/")[2], pattern)

    unknown = [pattern for pattern in names if not any(fits(path, pattern) for path in found)]
    if unknown or not names:
        there = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise DataError(
            [Problem(f"no film is called {name!r}", Location(str(root)), f"there is {there}") for name in unknown]
            or [Problem("names is empty", Location(str(root)), "leave it out for all films")]
        )
    return [path for path in found if any(fits(path, pattern) for pattern in names)]
