"""Fetches a film from an allowed host: from the address that was checked, no larger than it may be.

How long it may take is for the caller to say.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from urllib.parse import urljoin

import h11

from zoo.serving.addresses import AllowList, IPAddress, Target
from zoo.serving.film_file import FilmFile, too_large
from zoo.serving.refusal import Refusal

MOST_REDIRECTS = 3
CONNECT_LIMIT = 5.0
"""Seconds to reach one address."""

LARGEST_HEAD = 16 << 10
"""Bytes of the head of an answer."""

_PIECE = 64 << 10
_MOVED = frozenset((301, 302, 303, 307, 308))


async def download(address: str, film: FilmFile, allowed: AllowList, limit: int) -> None:
    """Write what an address leads to into a file.

    Args:
        address: `http:` or `https:`.
        film: is written.
        allowed: decides, of every redirect too.
        limit: bytes that it may have.

    Raises:
        Refusal: 403 an address that is not allowed, 413 too large, 422 its server does not give it.
    """
    target = allowed.target(address)
    for _ in range(MOST_REDIRECTS + 1):
        try:
            async with _connected(target, await allowed.addresses(target)) as (reader, writer):
                moved = await _Exchange(reader, writer, target).fetch(film, limit)
        except (OSError, ssl.SSLError, h11.RemoteProtocolError, EOFError) as error:
            raise Refusal(422, f"{target.authority} cannot be read from: {_in_words(error)}") from error
        if moved is None:
            return
        address, target = _moved(address, moved, allowed)
    raise Refusal(422, f"the address was moved more than {MOST_REDIRECTS} times")


def _moved(address: str, to: str, allowed: AllowList) -> tuple[str, Target]:
    """Where an address was moved to; that this is no address is not the fault of who asked for the film."""
    try:
        address = urljoin(address, to)
        return address, allowed.target(address)
    except ValueError:
        pass
    except Refusal as refused:
        if refused.status != HTTPStatus.BAD_REQUEST:
            raise
    raise Refusal(422, "the address was moved to what is no address")


@asynccontextmanager
async def _connected(
    target: Target, addresses: list[IPAddress]
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to one of the addresses, and to nothing else; certificates are those of the name."""
    secure = ssl.create_default_context() if target.scheme == "https" else None
    name = target.host if secure else None
    failure: Exception = OSError("it has no address")
    for address in addresses[:3]:
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                reader, writer = await asyncio.open_connection(
                    str(address), target.port, ssl=secure, server_hostname=name
                )
        except TimeoutError:
            failure = OSError("it does not answer")
            continue
        except OSError as error:
            failure = error
            continue
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                writer.transport.abort()
        return
    raise failure


class _Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target) -> None:
        self._reader, self._writer, self._target = reader, writer, target
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)

    async def fetch(self, film: FilmFile, limit: int) -> str | None:
        """Write the answer into a file; the new address where it was moved."""
        headers = [
            ("Host", self._target.authority),
            ("User-Agent", "videozoo"),
            ("Accept", "video/*, image/*, application/octet-stream"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        request = h11.Request(method="GET", target=self._target.path, headers=headers)
        self._writer.write((self._state.send(request) or b"") + (self._state.send(h11.EndOfMessage()) or b""))
        await self._writer.drain()
        answer = await self._next()
        while isinstance(answer, h11.InformationalResponse):
            answer = await self._next()
        if not isinstance(answer, h11.Response):
            raise EOFError
        told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        if answer.status_code in _MOVED and "location" in told:
            return told["location"]
        self._refuse(answer.status_code, told, limit)
        while isinstance(piece := await self._next(), h11.Data):
            film.write(bytes(piece.data))
        if not isinstance(piece, h11.EndOfMessage):
            raise EOFError
        return None

    async def _next(self) -> object:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            # The head of an answer is bounded by what is read at once, besides by what it may be when it is not whole.
            most = _PIECE if self._state.their_state is h11.SEND_BODY else LARGEST_HEAD
            self._state.receive_data(await self._reader.read(most))
        return event

    def _refuse(self, status: int, told: dict[str, str], limit: int) -> None:
        if status != HTTPStatus.OK:
            phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
            raise Refusal(422, f"{self._target.authority} answers {status} {phrase}".rstrip())
        if told.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(422, f"{self._target.authority} sends it packed, though it was not asked to")
        length = told.get("content-length", "0")
        if length.isdecimal() and int(length) > limit:
            raise too_large(limit)


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not valid"
    if isinstance(error, ssl.SSLError):
        return "no secure connection"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, h11.RemoteProtocolError):
        return "it does not keep to HTTP, or its answer is cut off"
    if isinstance(error, EOFError):
        return "its answer is cut off"
    return str(error.args[0]) if len(error.args) == 1 else "the connection broke off"
