"""Checksums of large files, each computed once for every state of its file.

To hash 344 MB takes longer than to load them. So a checksum is remembered in the user's own cache, with the size, inode
and times of change of the file it was computed from, and computed anew when any of them differs. The kernel sets the
time of change (ctime) and no program can set it back, so whoever writes to the file, even bytes of the same length with
the old modification time, is noticed. A file that changed within the last seconds is not remembered: its clock may not
have ticked since. What is not noticed is a disk that gives other bytes than were written without saying so;
`ZOO_VERIFY=always` computes every time.

    <cache>/checksums/<sha256 of the path>.json
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from zoo_registry.catalog import cache_folder

SMALL = 2**22
"""Bytes up to which a file is hashed each time."""

_SETTLED = 2.0
"""Seconds without change after which a file's times can be relied on; some file systems count whole seconds."""


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal: remembered, where the file has not changed since it was computed."""
    state = state_of(path)
    if state[0] <= SMALL or os.environ.get("ZOO_VERIFY") == "always":
        return _computed(path)
    place = cache_folder() / "checksums" / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(place.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["sha256"])
    found = _computed(path)
    if state_of(path) == state and time.time() - max(state[2], state[3]) / 1e9 > _SETTLED:
        _remember(place, state, found)
    return found


def state_of(path: Path) -> list[int]:
    """Size, inode, and times of modification and of change in nanoseconds."""
    status = path.stat()
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _computed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remember(place: Path, state: list[int], sha256: str) -> None:
    """A cache that cannot be written is no error: the checksum is computed again."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"state": state, "sha256": sha256}), encoding="utf-8")
        temporary.replace(place)
