"""The description of a model as text that a file keeps, and a file of its own where a format has no place for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY = "videozoo.json"
"""What the description is called wherever a format keeps texts by name."""
BATCH_KEY = "videozoo.batch"
"""Where a format does not say how many samples a file takes at a time: `1` under this name, nothing for any number."""
LARGEST = 16 * 2**20
"""Characters of the longest description that is read."""


def to_text(metadata: Mapping[str, Any] | None, *, ascii_only: bool = False) -> str | None:
    """The description as text; None where there is none."""
    return None if metadata is None else json.dumps(metadata, ensure_ascii=ascii_only, allow_nan=False)


def from_text(text: str | None) -> dict[str, Any] | None:
    """The description in a file, which nobody can trust; None where there is none that can be read.

    Example:
        >>> from_text('{"format": 1}'), from_text("no json")
        ({'format': 1}, None)
    """
    if not text or len(text) > LARGEST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_beside(path: Path, metadata: Mapping[str, Any] | None) -> None:
    """Write `<name>.json` beside the file."""
    text = to_text(metadata)
    if text is not None:
        path.with_name(f"{path.name}.json").write_text(text, encoding="utf-8")


def read_beside(path: Path) -> dict[str, Any] | None:
    """What `write_beside` wrote; None where the file was moved without it."""
    beside = path.with_name(f"{path.name}.json")
    if not beside.is_file() or beside.stat().st_size > 4 * LARGEST:
        return None
    return from_text(beside.read_text(encoding="utf-8", errors="replace"))
