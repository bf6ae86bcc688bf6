"""Requests that no client library would send."""

from __future__ import annotations

import socket
from contextlib import closing
from urllib.parse import urlsplit


def connect(url: str, timeout: float = 20.0) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=timeout)


def head(length: int | str, *more: str) -> bytes:
    lines = ["POST /predict HTTP/1.1", "Host: x", "Content-Type: video/mp4", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, str]:
    """The status and all that follows, until the server closes or says no more."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
            begin, found, body = received.partition(b"\r\n\r\n")
            if found and b"content-length: " in begin:
                wanted = int(begin.split(b"content-length: ")[1].split(b"\r\n")[0])
                if len(body) >= wanted:
                    break
    except ConnectionResetError:
        pass
    return (int(received.split(b" ")[1]) if received else 0), received.decode("latin-1")


def ask(url: str, content: bytes, timeout: float = 20.0) -> tuple[int, str]:
    """What a server says to these bytes."""
    with closing(connect(url, timeout)) as connection:
        connection.sendall(content)
        return answer(connection)
