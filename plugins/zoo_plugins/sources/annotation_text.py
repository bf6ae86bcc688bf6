"""Text of the files that a data set's makers publish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo_registry.errors import DataError, Location


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
        raise DataError("this annotation file is not UTF-8 text", where=Location(str(path))) from error
