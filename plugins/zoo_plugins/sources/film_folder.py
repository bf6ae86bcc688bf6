"""A folder full of films, found by name wherever they lie in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TypeVar

from zoo_plugins.sources.folder import SUFFIXES
from zoo_registry.errors import DataError, Location

Missing = Literal["error", "skip"]
"""What to do when some films of a list are not there; when none is there it is an error in any case."""

Row = TypeVar("Row")


class FilmFolder:
    """Media files below a folder, listed once: asking a network disk for 500,000 files one by one takes minutes.

    Args:
        root: the folder.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            what = "it is a file, not a folder" if root.exists() else "there is no such folder of films"
            raise DataError(what, where=Location(str(root)), hint="`films` is the folder that the films lie in")
        self.root = root
        self._found: dict[str, list[str]] = {}
        for parent, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = os.path.relpath(parent, root)
            for name in sorted(names):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in SUFFIXES and not name.startswith("."):
                    path = name if below == "." else f"{below}/{name}".replace(os.sep, "/")
                    self._found.setdefault(stem, []).append(path)

    def find(self, stem: str, folder: str = "") -> str | None:
        """The path, from the root, of the film of this name.

        Args:
            stem: name without its ending: `.webm` may have become `.mp4`.
            folder: name of a folder that it had better lie in, such as its class, when there are several; a blank in
                it may be an underscore on disk.
        """
        found = self._found.get(stem)
        if not found:
            return None
        names = {folder, folder.replace(" ", "_")}
        return next((path for path in found if names.intersection(path.split("/")[:-1])), found[0])


def there(
    rows: Iterable[Row],
    find: Callable[[Row], bool],
    name: Callable[[Row], str],
    *,
    missing: Missing,
    split: str,
    films: Path,
) -> tuple[list[Row], tuple[str, ...]]:
    """The rows whose film is there, and what the user should be told about the others.

    Args:
        rows: of the list.
        find: whether a row's film is there.
        name: what to call its film.
        missing: `error`, or `skip` to leave them out.
        split: for the message.
        films: where was looked.

    Raises:
        DataError: all are missing, or some with `missing="error"`.
    """
    kept: list[Row] = []
    lacking: list[str] = []
    count = 0
    for row in rows:
        if find(row):
            kept.append(row)
            continue
        count += 1
        if len(lacking) < 3:
            lacking.append(name(row))
    if not count:
        return kept, ()
    examples = ", ".join(lacking) + (", ..." if count > 3 else "")
    total = len(kept) + count
    said = f"{count:,} of {total:,} films of the {split} split are missing, such as {examples}"
    if not kept:
        hint = "`films` is the folder that they lie in, at any depth"
        raise DataError(
            f"none of {total:,} films of the {split} split is there, such as {examples}",
            where=Location(str(films)),
            hint=hint,
        )
    if missing == "error":
        raise DataError(said, where=Location(str(films)), hint="get them, or write `missing: skip` to do without")
    return kept, (f"{said}: they are left out, {len(kept):,} remain",)
