"""Films and pictures sorted into folders by class."""

from __future__ import annotations

import os
from pathlib import Path

from zoo_plugins.sources.sample_list import SampleList
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Provided, Sample

SPLITS = ("train", "val", "test")

SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv"}
    | {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Files that count as media; others, and hidden ones, are passed over."""


def folder(*, path: Path, split: Provided[str]) -> SampleList:
    """List the media below a folder; the folder that a file lies in is its class.

    Args:
        path: a folder with `train`, `val` and `test` in it, or the folder of one split.
        split: which of them.

    Returns:
        samples with `label_b`, in the order of their names; classes in alphabetical order.

    Raises:
        DataError: no such folder, no classes in it, classes without a single film or picture; all at once.

    Example:
        >>> folder(path=Path("data"), split="train").labels                         # doctest: +SKIP
        ['cat', 'dog']
    """
    root = _root_of(path, split)
    classes = sorted(child.name for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
    files = {name: _media(root / name) for name in classes}
    problems = [_empty_class(root / name) for name in classes if not files[name]]
    if not classes:
        loose = sum(child.suffix.lower() in SUFFIXES for child in root.iterdir())
        lying = f" but {loose} file{'s' if loose > 1 else ''}" if loose else ""
        hint = "put every film into a folder named like its class, or list them in a manifest"
        problems.append(Problem(f"it has no folders of classes{lying}", Location(str(root)), hint))
    if problems:
        raise DataError(problems)
    samples = [
        Sample(str(file), {"label_b": name}, key=file.relative_to(root).as_posix())
        for name in classes
        for file in files[name]
    ]
    return SampleList(samples, classes)


def _root_of(path: Path, split: str) -> Path:
    """The folder that holds the classes."""
    where = Location(str(path))
    if not path.exists():
        raise DataError("there is no such folder", where=where, hint=_nearest_parent(path))
    if not path.is_dir():
        raise DataError("it is a file, not a folder", where=where, hint="a list of films is the source `manifest`")
    if (path / split).is_dir():
        return path / split
    others = [name for name in SPLITS if (path / name).is_dir()]
    if others:
        raise DataError(
            f"it has {' and '.join(others)} but no {split}",
            where=where,
            hint=f"make {path / split}, or leave data.{split} out of the recipe",
        )
    return path


def _nearest_parent(path: Path) -> str:
    there = next(parent for parent in path.absolute().parents if parent.exists())
    return f"{there} is there; relative paths start from the recipe's folder"


def _media(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in sorted(names) if _is_media(name)]
    return found


def _is_media(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def _empty_class(folder: Path) -> Problem:
    others = sorted({file.suffix or file.name for file in folder.rglob("*") if file.is_file()})
    has = f"only {', '.join(others[:5])} files" if others else "nothing"
    return Problem(
        f"class {folder.name!r} has no film or picture, {has}",
        Location(str(folder)),
        hint="fill or remove the folder; media end in .mp4, .avi, .mkv, .webm, .mov, .png, .jpg, ...",
    )
