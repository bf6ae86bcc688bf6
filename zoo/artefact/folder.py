"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.artefact.file_names import MANIFEST
from zoo_registry.errors import ArtefactError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name when the block ends well, and vanishes otherwise.

    A model folder that is already there is replaced; anything else there is left alone.

    Raises:
        ArtefactError: `target` exists and is no model folder, or the disk does not take it.
    """
    target = Path(os.path.realpath(target))
    _refuse_foreign(target)
    temporary = target.parent / f".{target.name}-{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield temporary
        _sync(temporary)
        _swap(temporary, target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ArtefactError(f"{str(target)!r} is a file, not a folder", hint="choose another name for the model")
    if any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise ArtefactError(
            f"{str(target)!r} holds other things than a model, and is left as it is",
            hint="choose a new folder, or empty this one",
        )


def _swap(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    # No portable call exchanges two folders: the old one steps aside, and comes back if the new one cannot follow.
    aside = temporary.with_suffix(".old")
    target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in [*(item for item in folder.rglob("*") if item.is_file()), folder]:
        if path.is_dir() and os.name == "nt":
            continue
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _unwritable(target: Path, error: OSError) -> ArtefactError:
    reason = error.strerror or str(error)
    return ArtefactError(f"cannot write {str(target)!r}: {reason}", hint="nothing was left behind; mend that and retry")
