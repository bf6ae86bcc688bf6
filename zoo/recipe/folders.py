"""Keeps the folders of a machine out of what is published or shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def without_folders(value: Any) -> Any:
    """Plain data with absolute paths made relative to the current folder, or reduced to their names outside it.

    What is published or shown says nothing about the folders of the machine it was made on.
    """
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if not isinstance(value, str):
        return value
    scheme = "file:" if value.startswith("file:") else ""
    path = Path(value.removeprefix(scheme))
    if not path.is_absolute():
        return value
    return scheme + (path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name)
