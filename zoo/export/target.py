"""Where an exported file goes, and whether it can: known before any model is loaded. Needs no torch."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.export.file_format import format_of
from zoo_registry.errors import ExportError

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed


def target_of(path: str | os.PathLike[str] | None, listed: Listed) -> Path:
    """The file that is meant.

    Args:
        path: of the file; a folder that is there, a path that ends in a separator, or None for here, means
            `model<suffix>` in it.
        listed: the exporter.

    Raises:
        ExportError: the name does not end as files of the format do, or nothing can be written there.

    Example:
        >>> from zoo_registry.catalog import catalog
        >>> target_of("deploy/new/", catalog().resolve("exporter", "onnx")).as_posix()
        'deploy/new/model.onnx'
    """
    text = os.fspath(path or ".")
    suffix = str(getattr(listed.entry, "suffix", ""))
    if os.path.isdir(text) or text.endswith(tuple(filter(None, (os.sep, os.altsep)))):
        target = Path(text) / f"model{suffix}"
    else:
        target = Path(text)
        _check_end(target, listed, suffix)
    check_writable(target)
    return target


def _check_end(target: Path, listed: Listed, suffix: str) -> None:
    name = listed.entry.name
    if not target.name.lower().endswith(suffix.lower()):
        raise ExportError(
            f"files of {name} end in {suffix}, and {str(target)!r} does not",
            hint=f"{target.with_suffix(suffix)}, or a folder: {target}{os.sep}",
        )
    other = format_of(target)
    if other is not None and len(str(getattr(other.entry, "suffix", ""))) > len(suffix):
        raise ExportError(f"{target.name} would be read as a file of {other.entry.name}, not of {name}")


def check_writable(target: Path) -> None:
    """Make sure that a file can come to be, as far as that can be seen without making it.

    Raises:
        ExportError: no right to write in the folder, or one of its parents is a file.
    """
    folder = target.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise cannot_write(target, OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise cannot_write(target, OSError(errno.EACCES, os.strerror(errno.EACCES)))
    if target.is_dir():
        raise cannot_write(target, OSError(errno.EISDIR, os.strerror(errno.EISDIR)))


def cannot_write(target: Path, error: OSError) -> ExportError:
    """What an error of the system means for whoever wanted the file."""
    return ExportError(
        f"cannot write {target}: {error.strerror or error}", hint="choose a place that can be written to"
    )
