"""One line for each request, its measures, and the headers that every answer has."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from zoo.serving.measures import Measures

log = logging.getLogger("zoo.serving")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LEFT = 499
"""The status of a request whose sender did not wait, as servers use to write it into their logs."""

_LONGEST = 80

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class RequestLog:
    """Stands around an application.

    Args:
        app: the application.
        measures: is told of every request.
        paths: that there are; all others count as one.
    """

    def __init__(self, app: App, *, measures: Measures, paths: frozenset[str]) -> None:
        self._app, self._measures, self._paths = app, measures, paths

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, received = time.perf_counter(), 500, 0

        async def count(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        async def measure() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, measure, count)
        finally:
            seconds = time.perf_counter() - began
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._measures.requests.labels(path, str(status)).inc()
            self._measures.request_seconds.labels(path).observe(seconds)
            who = (scope.get("client") or ("-",))[0]
            asked = f"{scope['method']} {printable(scope['path'])}"
            noted = scope.get("state", {}).get("note", "")
            log.info("%s %s %d %d bytes %.0f ms%s", who, asked, status, received, 1000 * seconds, noted)


def printable(text: str) -> str:
    r"""What a stranger wrote, on one line, of bounded length, without anything that a terminal obeys.

    Example:
        >>> printable("/a\n\x1b[2J")
        '/a\\n\\x1b[2J'
    """
    cut = text[:_LONGEST] + ("…" if len(text) > _LONGEST else "")
    return cut.encode("unicode_escape").decode("ascii")
