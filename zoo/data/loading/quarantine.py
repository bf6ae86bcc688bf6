"""Files that could not be read: kept with their reason, each once, so that nothing disappears in silence."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from zoo_registry.errors import Location, Problem


@dataclass(frozen=True)
class BadFile:
    """One sample whose media could not be read.

    Attributes:
        media: path of the file; what the sample is recognised by, where its media came from memory or from a shard.
        reason: why, in words.
        split: `train`, `val` or `test`.
        start: of the sample's span in seconds, None for the whole film.
        end: likewise.
        traceback: of the failure, for who wants to look deeper.
        time: when it was found, ISO 8601 in UTC.
    """

    media: str
    reason: str
    split: str
    start: float | None = None
    end: float | None = None
    traceback: str = ""
    time: str = ""

    def problem(self, hint: str | None = None) -> Problem:
        """The same as a problem with its place."""
        return Problem(self.reason, Location(self.media), hint)


class Quarantine:
    """The bad files of a run. Only the main process adds to it; workers report to their loader.

    Args:
        path: a file of JSON lines that is appended to, and read first when it exists; None keeps them in memory only.

    Example:
        >>> quarantine = Quarantine()
        >>> quarantine.add(BadFile("a.mp4", "the file is empty", "train"))
        True
        >>> quarantine.add(BadFile("a.mp4", "the file is empty", "train")), len(quarantine)
        (False, 1)
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._files: dict[tuple[object, ...], BadFile] = {}
        if path is not None and path.exists():
            text = path.read_text(encoding="utf-8")
            for line in text.splitlines():
                self._remember(_parsed(line))
            if text and not text.endswith("\n"):
                with path.open("a", encoding="utf-8") as file:
                    file.write("\n")  # the next line must not continue one that a killed run left half written

    def add(self, bad: BadFile) -> bool:
        """Take one in; True when it is new, False when it was known."""
        found = replace(bad, time=bad.time or _now())
        if not self._remember(found):
            return False
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(found)) + "\n")  # in ASCII: names of files need not be UTF-8
        return True

    @property
    def entries(self) -> tuple[BadFile, ...]:
        """All of them, in the order they were found."""
        return tuple(self._files.values())

    def __len__(self) -> int:
        return len(self._files)

    def _remember(self, bad: BadFile | None) -> bool:
        if bad is None:
            return False
        key = (bad.split, bad.media, bad.start, bad.end)
        return self._files.setdefault(key, bad) is bad


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _parsed(line: str) -> BadFile | None:
    """None for a line that a killed run left half written."""
    try:
        return BadFile(**json.loads(line))
    except (ValueError, TypeError):
        return None
