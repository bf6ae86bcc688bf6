"""Films in the bodies of requests, as they are or as a form sends them: written piece by piece, never kept in memory.

The limits hold for what comes, whatever the head of the request says of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from zoo.serving.film_file import FilmFile, too_large
from zoo.serving.limits import Limits
from zoo.serving.refusal import Refusal

FORM = "multipart/form-data"
JSON = "application/json"
RAW = ("video/", "image/", "audio/", "application/octet-stream", "application/mp4", "application/x-matroska")

_AROUND = 64 << 10
"""Bytes that a form may have around the film."""

_MOST_PARTS = 32
"""Parts of a form: reading the heads of many takes longer than reading a film."""

_LONGEST_PREAMBLE = 4 << 10
"""Bytes that a form may have before its first part, for people to read (RFC 2046, 5.1.1)."""

_LARGEST_JSON = 16 << 10


def media_type(request: Request) -> str:
    """What the sender says of the body.

    Raises:
        Refusal: 415, something that no film is sent as.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given in ("", FORM, JSON) or given.startswith(RAW):
        return given
    raise Refusal(415, f"no film is sent as {given}; add the header `Content-Type: video/mp4`, or send a form ({FORM})")


def refuse_large_claim(request: Request, limit: int) -> None:
    """See that a body is no larger than it may be by its head, before it is read.

    Raises:
        Refusal: 413, it is.
    """
    claimed = request.headers.get("content-length", "")
    around = _AROUND if media_type(request) == FORM else 0
    if claimed.isdecimal() and int(claimed) > limit + around:
        raise too_large(limit)


async def receive_film(request: Request, film: FilmFile, limits: Limits) -> None:
    """Write the film in a body into a file.

    Raises:
        Refusal: 400 a body that cannot be understood, 413 too large, 499 the sender left, 503 it stalls.
    """
    form = _Form(request, film) if media_type(request) == FORM else None
    received = 0
    async for piece in _pieces(request, limits.stall):
        received += len(piece)
        if form is None:
            film.write(piece)
        elif received > limits.size + _AROUND:
            raise too_large(limits.size)
        else:
            form.write(piece)
    if form is not None:
        form.end()


async def receive_address(request: Request, stall: float) -> str:
    """The address in a body `{"url": ...}`.

    Raises:
        Refusal: 400, it holds none.
    """
    content = b""
    async for piece in _pieces(request, stall):
        content += piece
        if len(content) > _LARGEST_JSON:
            raise Refusal(413, f"the JSON is larger than {_LARGEST_JSON:,} bytes")
    try:
        given = json.loads(content)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is no JSON") from None
    if not isinstance(given, dict) or set(given) != {"url"} or not isinstance(given["url"], str):
        raise Refusal(400, 'the JSON should be {"url": "https://..."}')
    return given["url"]


async def _pieces(request: Request, stall: float) -> AsyncIterator[bytes]:
    pieces = request.stream()
    while True:
        try:
            async with asyncio.timeout(stall):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refusal(503, f"nothing came for {stall:g} s") from None
        except ClientDisconnect:
            raise Refusal(499, "the sender left") from None
        yield piece


class _Form:
    """The one file of a form. Its name is not looked at."""

    def __init__(self, request: Request, film: FilmFile) -> None:
        self._film, self._files, self._parts = film, 0, 0
        self._in_file = self._ended = False
        self._name, self._value, self._disposition = b"", b"", b""
        self._before: bytes | None = b""
        _, options = parse_options_header(request.headers.get("content-type", ""))
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._more_name,
            "on_header_value": self._more_value,
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_end": self._end,
        }
        try:
            boundary = options[b"boundary"]
            self._begins = b"\r\n--" + boundary
            self._parser = MultipartParser(boundary, callbacks, max_header_count=8, max_header_size=4096)
        except (KeyError, FormParserError):
            raise Refusal(400, "the form has no boundary") from None

    def write(self, piece: bytes) -> None:
        if self._before is not None:
            before = self._before + piece
            at = (b"\r\n" + before).find(self._begins)  # in what has no line break before it: where that begins
            if at < 0:
                if len(before) > _LONGEST_PREAMBLE:
                    raise Refusal(400, "the form cannot be read")
                self._before = before
                return
            self._before, piece = None, before[at:]
        try:
            self._parser.write(piece)
        except FormParserError:
            raise Refusal(400, "the form cannot be read") from None

    def end(self) -> None:
        if self._before:
            raise Refusal(400, "the form cannot be read")
        if not self._ended:
            raise Refusal(400, "the form is cut off")
        if not self._files:
            raise Refusal(400, "the form holds no file")

    def _begin(self) -> None:
        self._in_file, self._disposition = False, b""
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Refusal(400, f"the form has more than {_MOST_PARTS} parts")

    def _more_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _more_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._in_file = b"filename" in options
        self._files += self._in_file
        if self._files > 1:
            raise Refusal(400, "one film at a time")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._film.write(data[start:end])

    def _end(self) -> None:
        self._ended = True
