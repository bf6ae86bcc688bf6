"""Tar files of unknown origin: what their headers claim is neither believed nor read without bounds."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any

from zoo_registry.errors import DataError

CUT_OFF = "it is no tar file, damaged or cut off"
"""What is said of a shard that cannot be read on."""

FETCH_AGAIN = "fetch or write it again, and leave it out until then"

LARGEST_HEADERS = 64 * 1024
"""Bytes of all headers in front of a member: its name, long ones among them, and what writers add to it."""


class ShardFile(tarfile.TarFile):
    """A tar file whose members are read one after the other and then forgotten.

    Python's own class reads headers of any length into memory, follows them backwards, and takes a damaged header for
    the end of the archive, which would lose what lies behind it without a word.

    Args:
        name: what it is called.
        mode: `r`.
        fileobj: the opened file.
        options: of `tarfile.TarFile`.

    Example:
        >>> with open("0000.tar", "rb") as file, ShardFile.open(fileobj=file, mode="r:") as tar:    # doctest: +SKIP
        ...     names = [member.name for member in tar.files()]
    """

    def __init__(self, name: Any = None, mode: Any = "r", fileobj: Any = None, **options: Any) -> None:
        self._headers = _Headers(fileobj)
        super().__init__(name, mode, self._headers, **options)

    def next(self) -> tarfile.TarInfo | None:
        """The next member, None after the last.

        Raises:
            tarfile.TarError: a header that is damaged or too long, or an archive without its end.
        """
        before = self.offset
        self._headers.left = LARGEST_HEADERS
        try:
            member = super().next()
        except (ValueError, OverflowError, RecursionError) as error:
            raise tarfile.ReadError("a header that makes no sense") from error
        finally:
            self._headers.left = None
        self.members = []  # a million of them would stay in memory
        self.pax_headers.clear()
        if member is None and self._headers.last.strip(b"\0"):
            raise tarfile.ReadError("a damaged header")
        if member is None and len(self._headers.last) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")
        if member is not None and (member.size < 0 or self.offset < before):
            raise tarfile.ReadError("a header that leads backwards")
        return member

    def files(self) -> Iterator[tarfile.TarInfo]:
        """The regular files in it.

        Raises:
            DataError: one is stored with holes: a few bytes could stand for any number.
            tarfile.TarError: see `next`.
        """
        while (member := self.next()) is not None:
            if member.issparse():
                raise DataError(f"its member {member.name} is stored with holes", hint="write it without --sparse")
            if member.isreg():
                yield member


class _Headers:
    """A file of which no more than `left` bytes can be read, where that is a number; it keeps what was read last."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.left: int | None = None
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if self.left is not None:
            if not 0 <= size <= self.left:
                raise tarfile.ReadError(f"headers of more than {LARGEST_HEADERS:,} bytes in front of a member")
            self.left -= size
        content: bytes = self._file.read(size)
        self.last = content if self.left is not None else b""
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
