"""Connections that do not wait for ever, and that let answers arrive which were given before the question was over."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_LIMIT = 10.0
"""Seconds for the head of a request, from the connection or from the end of the answer before."""

LINGER = 2.0
"""Seconds for which what a sender still sends is thrown away after the last answer: closing at once would make its
system throw away the answer."""


UNREAD_LIMIT = 10.0
"""Seconds within which a client has to read what it was sent."""


class PatientConnection(H11Protocol):  # type: ignore[misc]  # uvicorn is not imported by the type checker
    """uvicorn's connection, with time limits on heads and on reading; closed when the answer can have been read."""

    _head_limit: asyncio.TimerHandle | None = None
    _unread_limit: asyncio.TimerHandle | None = None
    _seconds_to_read: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """It is there; a head is expected."""
        super().connection_made(_LingeringTransport(transport, self._is_sending))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is not any more."""
        self._expect_nothing()
        self._is_read()
        self.transport.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What comes after the last answer is thrown away."""
        if not self.transport.is_closing():
            super().data_received(data)

    def handle_events(self) -> None:
        """A head that came is expected no longer."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_nothing()

    def on_response_complete(self) -> None:
        """The next head is expected."""
        if not self.transport.is_closing():
            self._expect_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to, or not at all."""
        super().pause_writing()
        self._expect_reading(UNREAD_LIMIT if self._seconds_to_read is None else self._seconds_to_read)

    def resume_writing(self) -> None:
        """It has read on."""
        self._is_read()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server ends: it does not wait long for those who do not read."""
        super().shutdown()
        self._seconds_to_read = LINGER
        if self._unread_limit is not None:
            self._expect_reading(LINGER)

    def _is_sending(self) -> bool:
        """Whether the body of the last request is not over."""
        return self.cycle is not None and self.cycle.more_body and not self.cycle.disconnected

    def _expect_head(self) -> None:
        self._expect_nothing()
        self._head_limit = self.loop.call_later(HEAD_LIMIT, self.transport.abort)

    def _expect_reading(self, seconds: float) -> None:
        self._is_read()
        self._unread_limit = self.loop.call_later(seconds, self.transport.abort)

    def _is_read(self) -> None:
        if self._unread_limit is not None:
            self._unread_limit.cancel()
            self._unread_limit = None

    def _expect_nothing(self) -> None:
        if self._head_limit is not None:
            self._head_limit.cancel()
            self._head_limit = None


class _LingeringTransport:
    """A transport that is closed for writing first, while its other end still sends."""

    def __init__(self, transport: asyncio.Transport, is_sending: Any) -> None:
        self._transport, self._is_sending = transport, is_sending
        self._end: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._end is not None or self._transport.is_closing():
            return
        if not (self._is_sending() and self._transport.can_write_eof()):
            self._transport.close()
            self._end = asyncio.get_running_loop().call_later(UNREAD_LIMIT, self._transport.abort)
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._end = asyncio.get_running_loop().call_later(LINGER, self._transport.abort)

    def is_closing(self) -> bool:
        return self._end is not None or self._transport.is_closing()

    def lost(self) -> None:
        if self._end is not None:
            self._end.cancel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
