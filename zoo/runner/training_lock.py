"""Keeps two processes from training in one folder at once.

Every process that trains in a folder first leaves a file there that names it, and only then looks for those of others.
So of two that start together at most one goes on, and the file of a process that was killed is simply taken away.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo_registry.errors import RunError

_MARK = re.compile(r"\.training-(?P<host>.+)-(?P<pid>\d+)")


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder while training in it.

    Args:
        folder: of the run.

    Raises:
        RunError: another process trains there, or did on another machine and could not say that it ended.
    """
    own = folder / f".training-{socket.gethostname()}-{os.getpid()}"
    try:
        own.touch()
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}", hint="choose another folder") from error
    try:
        _refuse_others(folder, own)
        yield
    finally:
        own.unlink(missing_ok=True)


def trainer(folder: Path) -> str | None:
    """Who trains in a run's folder, in words; None if nobody does. Marks of other machines are believed."""
    for mark in sorted(folder.glob(".training-*")):
        found = _MARK.fullmatch(mark.name)
        if found is not None and (found["host"] != socket.gethostname() or _is_running(int(found["pid"]))):
            return f"process {found['pid']} on {found['host']}"
    return None


def _refuse_others(folder: Path, own: Path) -> None:
    for mark in sorted(folder.glob(".training-*")):
        found = _MARK.fullmatch(mark.name)
        if found is None or mark == own:
            continue
        host, pid = found["host"], int(found["pid"])
        if host == socket.gethostname() and not _is_running(pid):
            mark.unlink(missing_ok=True)
        else:
            raise RunError(
                f"process {pid} on {host} is training in {folder}",
                hint=f"wait for it or stop it; if it runs no more, delete {mark}",
            )


def _is_running(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    if sys.platform == "win32":  # os.kill would end it
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
