"""Servers on loopback that behave as bad ones do: they drop the connection, stall, go on without end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""What a server does with request number n, from 0 on."""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The address of a server that answers every GET like this."""
    lock, requests = threading.Lock(), iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                number = next(requests)
            with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has gone
                answer(self, number)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send_all(
    handler: BaseHTTPRequestHandler, content: bytes, kind: str = "video/mp2t", length: int | None = None
) -> None:
    """A stream: nothing says how long it is. With a length it is a file, from a server that sends no parts of one."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(content)


def send_part(handler: BaseHTTPRequestHandler, content: bytes, most: int | None = None) -> None:
    """A file, from where it is asked for; the connection is cut after `most` bytes."""
    begin = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
    handler.send_response(206)
    handler.send_header("Content-Type", "video/mp4")
    handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - begin))
    handler.end_headers()
    handler.wfile.write(content[begin:] if most is None else content[begin : begin + most])
