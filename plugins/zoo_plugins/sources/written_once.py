"""Folders that are costly to make: made once, found again by what they were made of."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def written_once(
    cache: Path, name: str, version: int, params: Mapping[str, Any], write: Callable[[Path], None]
) -> Path:
    """The folder that `write` fills, from the cache when it was filled before.

    It appears under its final name only when complete, so a killed process leaves nothing half made behind, and two
    processes at once do no harm.

    Args:
        cache: folder that outlives the run.
        name: of what is made.
        version: of the code that makes it; a new one makes the folder again.
        params: everything else that decides the content, JSON-able.
        write: fills an empty folder.
    """
    made_of = json.dumps([version, params], sort_keys=True)
    final = cache / name / hashlib.sha256(made_of.encode()).hexdigest()[:16]
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{final.name}.", suffix=".partial", dir=final.parent))
    try:
        write(partial)
        try:
            partial.rename(final)
        except OSError:
            if not final.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final
