"""The fetcher of `file:`: a folder on this disk, or one that several machines share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zoo_registry.errors import HubError
from zoo_registry.protocols import Fetch, Fetched


def folder_fetcher() -> Fetch:
    """Builder of the fetcher of `file:`."""
    return fetch_folder


def fetch_folder(uri: str, *, files: Iterable[str] | None = None) -> Fetched:
    """Find the folder or file that a `file:` URI names; nothing is copied.

    Args:
        uri: `file:PATH` with a relative, absolute or `~` path, or `file:///PATH`.
        files: not looked at, all files are there already.

    Raises:
        HubError: nothing is there.
    """
    path = local_path(uri)
    if not path.exists():
        raise HubError(f"there is nothing at {str(path)!r}", hint=f"check the path in {uri!r}")
    return Fetched(path, f"file:{path}")


def local_path(uri: str) -> Path:
    """The absolute path of a `file:` URI."""
    text = uri.removeprefix("file:")
    if text.startswith("//"):
        text = text[2:]
        if not text.startswith("/"):
            raise HubError(f"{uri!r} names a host", hint="write file:PATH, or file:///PATH for an absolute path")
    if not text:
        raise HubError(f"{uri!r} names no path", hint="write file:PATH")
    return Path(text).expanduser().resolve()
