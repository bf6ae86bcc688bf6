"""A small RTSP server (RFC 2326) on loopback: one film as an MPEG transport stream in RTP (RFC 2250), within the TCP
connection, to whoever asks."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CELL = 188
"""Bytes of a packet of a transport stream."""

SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=live
c=IN IP4 127.0.0.1
t=0 0
m=video 0 RTP/AVP 33
a=control:track1
"""


@contextmanager
def serving_rtsp(transport: bytes) -> Iterator[str]:
    """The address of a camera that shows a film once to everybody, and then ends the connection."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                while (request := self.read_request()) is not None:
                    method, fields = request
                    self.respond(fields, *answers(method, fields))
                    if method == "PLAY":
                        self.wfile.write(b"".join(interleaved(transport)))
                        return
                    if method == "TEARDOWN":
                        return

        def read_request(self) -> tuple[str, dict[str, str]] | None:
            head = []
            while (line := self.rfile.readline().decode().strip()) or not head:
                if not line:
                    return None
                head.append(line)
            fields = dict(line.split(": ", 1) for line in head[1:])
            return head[0].split()[0], {name.lower(): value for name, value in fields.items()}

        def respond(self, fields: dict[str, str], header: str, body: str) -> None:
            head = f"RTSP/1.0 200 OK\r\nCSeq: {fields['cseq']}\r\n{header}Content-Length: {len(body)}\r\n\r\n"
            self.wfile.write((head + body).encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{server.server_address[1]}/live"
        finally:
            server.shutdown()
            thread.join()


def answers(method: str, fields: dict[str, str]) -> tuple[str, str]:
    """Header lines and body for a request."""
    if method == "OPTIONS":
        return "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""
    if method == "DESCRIBE":
        return "Content-Type: application/sdp\r\n", SDP.replace("\n", "\r\n")
    if method == "SETUP":
        return f"Transport: {fields['transport']}\r\nSession: 1\r\n", ""
    return "Session: 1\r\n", ""


def interleaved(transport: bytes) -> Iterator[bytes]:
    """RTP packets of seven cells each, framed for the RTSP connection (RFC 2326, 10.12)."""
    for number, start in enumerate(range(0, len(transport), 7 * CELL)):
        payload = transport[start : start + 7 * CELL]
        header = struct.pack("!BBHII", 0x80, 33, number & 0xFFFF, 90 * number, 1)
        yield struct.pack("!BBH", ord("$"), 0, len(header) + len(payload)) + header + payload
