"""Tar files that are read from beginning to end as they arrive: from a server, a command, or a compressed file."""

from __future__ import annotations

import http.client
import os
import subprocess
import tarfile
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from zoo_plugins.sources.shard_fields import LARGEST_NOTE, BadGroup, Fields
from zoo_plugins.sources.shard_file import CUT_OFF, FETCH_AGAIN, ShardFile
from zoo_plugins.sources.shard_names import grouped
from zoo_registry.errors import DataError
from zoo_registry.protocols import Sample

LARGEST_MEMBER = 2 * 1024**3
"""Bytes of a film or picture in a shard; it is read into memory."""

TIMEOUT = 60.0
"""Seconds to wait for a server."""

MOST_LEFT = 64 * 1024**2
"""Bytes after the end of an archive that are read to see whether the whole of it came."""

PIPES = "ZOO_ALLOW_PIPES"
"""Environment variable: 1 allows `pipe:` shards, whose commands a shell runs."""

SCHEMES = ("http://", "https://", "hf://", "pipe:")

_UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, http.client.HTTPException)


@dataclass(frozen=True)
class Unreadable:
    """Media of a sample that came without any, or without what is to be known about it."""

    reason: str
    size: None = None

    def read(self) -> bytes:
        """Nothing.

        Raises:
            OSError: always, with the reason.
        """
        raise OSError(self.reason)


@dataclass(frozen=True)
class TarStream:
    """The samples of tar files, one after the other: a `zoo_registry.protocols.SampleStream`.

    Attributes:
        addresses: where each shard comes from.
        fields: what its members mean.
        labels: class names in the order of their indices.
        count: samples of an epoch, None where nobody knows.
        buffer: samples that a shuffle buffer holds.
    """

    addresses: Sequence[str]
    fields: Fields
    labels: Sequence[str]
    count: int | None
    buffer: int

    @property
    def shards(self) -> Sequence[str]:
        """Their addresses without queries, which often hold a password."""
        return [shown(address) for address in self.addresses]

    def read(self, shard: int) -> Iterator[Sample]:
        """The samples of a shard, in its order.

        Args:
            shard: its number.

        Raises:
            DataError: it cannot be read, or not any further.
        """
        address = self.addresses[shard]
        name = shown(address).rpartition("/")[2] or shown(address)
        try:
            with opened(address) as stream, ShardFile.open(fileobj=stream, mode="r|*") as tar:
                for key, group in grouped(self._members(tar)):
                    yield self._sample(name, key, group)
        except _UNREADABLE as error:
            raise DataError(f"{CUT_OFF} ({error})", hint=FETCH_AGAIN) from error

    def _members(self, tar: ShardFile) -> Iterator[tuple[str, bytes]]:
        for member in tar.files():
            extension = member.name.rpartition("/")[2].partition(".")[2].lower()
            medium = extension in self.fields.media
            if medium or self.fields.is_note(extension):
                limit = LARGEST_MEMBER if medium else LARGEST_NOTE
                if member.size > limit:
                    message = f"its member {member.name} has {member.size:,} bytes, more than {limit:,}"
                    raise DataError(message, hint="leave it out of the shard, or lay it beside as a file of its own")
                file = tar.extractfile(member)
                assert file is not None  # it is a regular file
                yield member.name, file.read()

    def _sample(self, shard: str, key: str, group: dict[str, bytes]) -> Sample:
        try:
            extension = self.fields.medium(group)
            return Sample(group[extension], self.fields.read(group), key=f"{shard}: {key}.{extension}")
        except BadGroup as error:
            return Sample(Unreadable(str(error)), key=f"{shard}: {key}")


def shown(address: str) -> str:
    """An address as it may be written down: without user, password and query; of a command its first word."""
    if address.startswith("pipe:"):
        return " ".join(address.split()[:1])
    if not address.startswith(("http://", "https://")):
        return address
    scheme, _, rest = address.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def check_address(address: str) -> str | None:
    """What is wrong with an address, None for nothing."""
    if not address.startswith(SCHEMES):
        return f"{shown(address)!r} is no address of a shard: it begins with http://, https://, hf:// or pipe:"
    if address.startswith("pipe:") and os.environ.get(PIPES) != "1":
        return f"{shown(address)!r} would run a command of this recipe in a shell"
    return None


@contextmanager
def opened(address: str) -> Iterator[IO[bytes]]:
    """A shard as a stream of bytes; on leaving it is seen that the whole of it came.

    Raises:
        DataError: a `pipe:` without leave, or one whose command fails.
        OSError: the server does not answer, or ended too soon.
    """
    if fault := check_address(address) if address.startswith(SCHEMES) else None:
        raise DataError(fault)
    if address.startswith("pipe:"):
        with _piped(address.removeprefix("pipe:")) as stream:
            yield stream
    elif address.startswith("hf://"):
        from huggingface_hub import HfFileSystem

        with HfFileSystem().open(address, "rb") as stream:
            yield stream
    elif address.startswith(("http://", "https://")):
        with urllib.request.urlopen(address, timeout=TIMEOUT) as stream:
            yield stream
            _drain(stream)
            if stream.length:
                raise OSError(f"{stream.length:,} bytes of it never came")
    else:
        with open(address, "rb") as stream:
            yield stream


@contextmanager
def _piped(command: str) -> Iterator[IO[bytes]]:
    process = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
        _drain(process.stdout)
        process.stdout.close()
        if process.wait(TIMEOUT):
            raise DataError(f"its command ended with {process.returncode}", hint="run it by hand to see why")
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _drain(stream: Any) -> None:
    """Read what follows the archive: a little padding, in most cases."""
    left = MOST_LEFT
    while left > 0 and (chunk := stream.read(min(left, 2**16))):
        left -= len(chunk)
