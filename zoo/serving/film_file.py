"""Where films lie while they are looked at: in a folder of ours, under a name of ours, never for longer."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from zoo.serving.film_kind import HEAD
from zoo.serving.refusal import Refusal

_PREFIX = "zoo-serve-"

_TRIES = 20
"""For a folder that no other server takes away: each of them would have to come between two lines of ours."""


class FilmFile:
    """A film that is being written, no larger than it may be.

    Attributes:
        path: where it lies.
        size: bytes so far.
        head: the first of them.
    """

    def __init__(self, path: Path, file: FileIO, limit: int) -> None:
        self.path, self.size, self.head = path, 0, b""
        self._file, self._limit = file, limit

    def write(self, data: bytes) -> None:
        """Append to it.

        Raises:
            Refusal: 413, it becomes larger than it may be; 503, the disk is full.
        """
        self.size += len(data)
        if self.size > self._limit:
            raise too_large(self._limit)
        if len(self.head) < HEAD:
            self.head += data[: HEAD - len(self.head)]
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Refusal(503, "there is no room for the film", retry_after=10) from error


def too_large(limit: int) -> Refusal:
    """The refusal of a film of more bytes than there may be."""
    return Refusal(413, f"the film is larger than {limit:,} bytes")


class FilmFolder:
    """A folder that only this user can look into; gone with everything in it when it is closed.

    Folders that a server left behind which was killed are removed by the next one: no process holds their lock.
    """

    def __init__(self) -> None:
        place = Path(tempfile.gettempdir())
        for orphan in place.glob(f"{_PREFIX}*"):
            if (lock := _locked(orphan)) is not None:
                shutil.rmtree(orphan, ignore_errors=True)
                os.close(lock)
        self.path, self._lock = _own_folder(place)

    @contextmanager
    def film(self, limit: int) -> Iterator[FilmFile]:
        """An empty file; it is removed on leaving."""
        descriptor, name = tempfile.mkstemp(dir=self.path)
        path = Path(name)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                yield FilmFile(path, file, limit)
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _own_folder(place: Path) -> tuple[Path, int | None]:
    """A new folder and the lock on it; no lock where the file system or the operating system has none."""
    for _ in range(_TRIES):
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        lock = _locked(path)
        # Before it was locked, a server that starts at the same time may have taken it for one that was left behind.
        if lock is not None and path.is_dir():
            return path, lock
        if lock is not None:
            os.close(lock)
        with suppress(OSError):
            path.rmdir()
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place)), None


def _locked(folder: Path) -> int | None:
    """A lock on a folder of this user's, which ends with the process; None where another holds it, or there is none."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        if folder.lstat().st_uid != os.getuid():
            return None
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
