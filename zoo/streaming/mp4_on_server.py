"""Films in MP4 on servers: playing one begins with its index, which may lie behind all of its pictures."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from typing import IO
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

SUFFIXES = (".mp4", ".m4v", ".mov")

_MOST_BOXES = 64


def names_mp4(address: str) -> bool:
    """Whether an address looks like that of such a film.

    Example:
        >>> names_mp4("https://films.org/a.MP4?part=1"), names_mp4("rtsp://door.local/live")
        (True, False)
    """
    return urlsplit(address).path.lower().endswith(SUFFIXES)


def index_out_of_reach(address: str, timeout: float) -> bool:
    """Whether the index of a film lies behind its pictures, on a server that sends files only from their beginning.

    False where the server does not say.

    Args:
        address: `http:` or `https:`.
        timeout: seconds to wait for the server.
    """
    # From the second byte on: a server may answer with all where all is asked for.
    request = Request(address, headers={"Range": "bytes=1-"})
    with suppress(OSError, ValueError, HTTPException), urlopen(request, timeout=timeout) as answer:
        return bool(answer.status != HTTPStatus.PARTIAL_CONTENT and _pictures_come_first(answer))
    return False


def _pictures_come_first(file: IO[bytes]) -> bool:
    """Whether the box of pictures (`mdat`) comes before that of the index (`moov`); ISO/IEC 14496-12, section 4.2."""
    for _ in range(_MOST_BOXES):
        header = file.read(8)
        size, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind in (b"mdat", b"moov", b""):
            return kind == b"mdat"
        if not 8 <= size <= 1 << 20:
            return False
        file.read(size - 8)
    return False
