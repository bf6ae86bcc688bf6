"""What strangers send: none of it stops a server, gets past its limits or stays on its disk."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from tests.zoo.data.damage import CLAIMS
from tests.zoo.data.film_formats import FILMS
from tests.zoo.data.films import write_numbered_film
from tests.zoo.data.test_damaged_films import SMALL
from tests.zoo.serving import raw_request
from tests.zoo.serving.live_server import LiveServer, httpx, live_server
from zoo.serving.limits import Limits

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    limits = Limits(workers=2, size=4 * MEGABYTE, duration=20, pixels=1 << 21, decode=5, stall=1, memory=1 << 30)
    with live_server(limits=limits) as server:
        yield server


@pytest.fixture(autouse=True)
def goes_on(server: LiveServer, film: Path) -> Iterator[None]:
    """Whatever a test sends, the next film is answered, and nothing is left."""
    yield
    assert server.post(film).status_code == 200
    deadline = time.monotonic() + 5
    while server.service.in_work and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.service.in_work == 0
    assert server.films_on_disk == []


# Sizes ---------------------------------------------------------------------------------------------------------------


def test_a_claim_of_8_gb_is_refused_before_it_is_read(server: LiveServer) -> None:
    before = received(server)
    status, said = raw_request.ask(server.url, raw_request.head(8 << 30))
    assert status == 413
    assert "the film is larger than 4,194,304 bytes" in said
    assert received(server) == before


def test_who_sends_on_all_the_same_can_read_why_it_was_refused(server: LiveServer) -> None:
    """Closing at once would make the sender's system throw the answer away."""
    for more in ((), ("Connection: close",)):
        connection = raw_request.connect(server.url)
        connection.sendall(raw_request.head(8 << 30, *more))
        for _ in range(30):
            connection.sendall(bytes(65536))
            time.sleep(0.01)
        status, said = raw_request.answer(connection)
        connection.close()
        assert (status, "larger than" in said) == (413, True)


def test_who_asks_first_is_told_before_sending(server: LiveServer) -> None:
    status, said = raw_request.ask(server.url, raw_request.head(8 << 30, "Expect: 100-continue"))
    assert status == 413
    assert "100 Continue" not in said


def test_a_body_without_a_length_is_cut_off_at_the_limit(server: LiveServer, film: Path) -> None:
    begin = film.read_bytes()[:100_000]

    def endless() -> Iterator[bytes]:
        yield begin
        for _ in range(200):
            yield bytes(100_000)

    answer = httpx.post(f"{server.url}/predict", content=endless(), headers={"content-type": "video/mp4"}, timeout=30)
    assert answer.status_code == 413


def test_a_form_is_cut_off_at_the_limit(server: LiveServer) -> None:
    assert server.post_form(bytes(5 * MEGABYTE)).status_code == 413


def test_fields_around_the_film_count_too(server: LiveServer, film: Path) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + bytes(5 * MEGABYTE) + b"\r\n--b--\r\n"
    answer = server.post(body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e9", "99999999999999999999999999"])
def test_lengths_that_are_none(server: LiveServer, length: str) -> None:
    status, _ = raw_request.ask(server.url, raw_request.head(length))
    assert status in (400, 413)


def test_a_length_that_is_too_short_gets_a_film_that_is_cut_off(server: LiveServer, film: Path) -> None:
    status, said = raw_request.ask(server.url, raw_request.head(1000) + film.read_bytes())
    assert status == 422
    assert "cut off" in said


def test_who_stalls_is_let_go(server: LiveServer, film: Path) -> None:
    began = time.monotonic()
    status, said = raw_request.ask(server.url, raw_request.head(100_000) + film.read_bytes()[:500])
    assert status == 503
    assert "nothing came for 1 s" in said
    assert time.monotonic() - began < 5


def test_who_drips_is_let_go(film: Path) -> None:
    """A byte now and then is no stall, but there is a limit on the whole."""
    with live_server(limits=Limits(workers=1, timeout=2, stall=1, decode=1)) as server:
        connection = raw_request.connect(server.url)
        connection.sendall(raw_request.head(100_000))
        began = time.monotonic()

        def drip() -> None:
            try:
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.2)
            except OSError:
                return

        threading.Thread(target=drip, daemon=True).start()
        status, said = raw_request.answer(connection)
        assert status == 503
        assert "no answer within 2 s" in said
        assert time.monotonic() - began < 4
        connection.close()


def test_who_never_ends_the_head_is_let_go(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.serving.connection.HEAD_LIMIT", 1.0)
    connection = raw_request.connect(server.url, timeout=10)
    began = time.monotonic()
    connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
    for _ in range(4):  # drips more of it
        time.sleep(0.2)
        connection.sendall(b"X-More: 1\r\n")
    assert raw_request.answer(connection)[0] == 0
    assert time.monotonic() - began < 3
    connection.close()


def test_a_head_without_bounds_is_refused(server: LiveServer) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(200))
    status, _ = raw_request.ask(server.url, b"GET / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
    assert status in (0, 400, 431)


def test_who_leaves_is_forgotten(server: LiveServer, film: Path) -> None:
    connection = raw_request.connect(server.url)
    connection.sendall(raw_request.head(100_000) + film.read_bytes()[:500])
    deadline = time.monotonic() + 5
    while not server.service.in_work and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.films_on_disk != []
    connection.close()


# Kinds ---------------------------------------------------------------------------------------------------------------


def zipped() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("film.mp4", bytes(10 * MEGABYTE))
    return buffer.getvalue()


OTHER_KINDS = {
    "text": (b"once upon a time\n" * 100, "it is text"),
    "HTML": (b"<!doctype html><script>alert(1)</script>", "it is text"),
    "a ZIP archive": (zipped(), "it is a ZIP archive"),
    "a gzip bomb": (__import__("gzip").compress(bytes(10 * MEGABYTE)), "it is a gzip archive"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(500), "it is a PDF"),
    "an HLS list": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "it is text",
    ),
    "an ffconcat list": (b"ffconcat version 1.0\nfile /etc/passwd\n", "it is text"),
    "a file: list": (b"file:/etc/passwd", "it is text"),
    "a session description": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", "it is text"),
    "DASH": (b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>', "it is text"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "it is text"),
    "a Python pickle": (b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system", "unknown kind"),
    "a program": (b"\x7fELF" + bytes(100), "it is a program"),
    "noise": (bytes(range(255, 100, -1)) * 9, "unknown kind"),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_other_kinds_of_files_are_refused(server: LiveServer, kind: str) -> None:
    content, reason = OTHER_KINDS[kind]
    for answer in (server.post(content), server.post_form(content, "film.mp4")):
        assert answer.status_code == 415
        assert reason in answer.json()["error"]


def test_lists_in_the_clothes_of_a_film_open_no_other_files(server: LiveServer, film: Path, tmp_path: Path) -> None:
    """The first bytes are those of a film, what follows is a list that would lead to one."""
    head = b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom"
    lists = [b"ffconcat version 1.0\nfile '%s'\n", b"#EXTM3U\n#EXTINF:9,\n%s\n#EXT-X-ENDLIST\n"]
    for text in lists:
        assert server.post(head + text % str(film).encode()).status_code == 422


def test_an_mp4_that_refers_to_another_file_reads_nothing_of_it(server: LiveServer, film: Path, tmp_path: Path) -> None:
    """Its pictures lie where `dref` says (ISO/IEC 14496-12, 8.7.2): an alias instead of the file itself."""
    content = film.read_bytes()
    at = content.index(b"dref")
    # flags 1 of `url ` mean "in this file"; 0 means "at the location that follows"
    begin = content.index(b"url ", at) + 4
    content = content[:begin] + bytes(4) + content[begin + 4 :]
    assert server.post(content).status_code in (
        200,
        422,
    )  # the location is empty: read from the file itself, or refused


def test_an_empty_body(server: LiveServer) -> None:
    answer = server.post(b"")
    assert answer.status_code == 422
    assert answer.json() == {"error": "the file is empty"}


@pytest.mark.parametrize("kind", ["text/html", "application/zip", "application/x-www-form-urlencoded", "text/plain"])
def test_other_kinds_of_bodies_are_refused_unread(server: LiveServer, film: Path, kind: str) -> None:
    answer = server.post(film, headers={"content-type": kind})
    assert answer.status_code == 415
    assert f"no film is sent as {kind}; add the header `Content-Type: video/mp4`" in answer.json()["error"]


# Forms ---------------------------------------------------------------------------------------------------------------

NAMES = [
    "../../../../tmp/zoo-was-here.mp4",
    "/etc/cron.d/x",
    "..\\..\\x.mp4",
    "a\x00b.mp4",
    "concat:a|b",
    "-i",
    "x" * 4000,
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_mean_nothing(server: LiveServer, film: Path, name: str) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="film"; filename="'
        + name.encode("latin-1")
        + b'"\r\nContent-Type: video/mp4\r\n\r\n'
        + film.read_bytes()
        + b"\r\n--b--\r\n"
    )
    answer = server.post(body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code in (200, 400)  # 400: a head that is too long
    assert not Path("/tmp/zoo-was-here.mp4").exists()


def test_words_of_strangers_do_not_break_lines_of_the_log(server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="zoo.serving"):
        server.get("/a%0a2026-01-01T00:00:00%20POST%20/forged%1b[2J")
        deadline = time.monotonic() + 5  # it is written when the answer is sent
        while not (found := [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    (line,) = found
    assert line.isprintable()
    assert "/a\\n2026" in line


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the form is cut off"),
        (b"--b--\r\n", "the form"),
        (b"nonsense", "the form cannot be read"),
        (b'--b\r\nContent-Disposition: form-data; name="film"\r\n\r\nhello\r\n--b--\r\n', "the form holds no file"),
        (b'--b\r\nContent-Disposition: form-data; name="film"; filename="a"\r\n\r\nhello', "the form is cut off"),
        (b'--b\r\nContent-Disposition: form-data; filename="a"\r\n\r\nx\r\n' * 2 + b"--b--\r\n", "one film at a time"),
        (b"--b\r\n" + b"X: y\r\n" * 100 + b"\r\nx\r\n--b--\r\n", "the form cannot be read"),
    ],
)  # fmt: skip
def test_forms_that_are_none(server: LiveServer, body: bytes, reason: str) -> None:
    answer = server.post(body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


@pytest.mark.parametrize("preamble", [b"\r\n", b"This is a film.\r\nAnd --b is no boundary here.\r\n"])
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "byte by byte"])
def test_a_form_may_begin_with_words_for_people(server: LiveServer, film: Path, preamble: bytes, at_once: bool) -> None:
    """RFC 2046, 5.1.1: what comes before the first boundary is to be ignored."""
    head = preamble + b'--b\r\nContent-Disposition: form-data; name="film"; filename="a"\r\n\r\n'
    pieces = [head] if at_once else [head[at : at + 1] for at in range(len(head))]
    answer = httpx.post(
        f"{server.url}/predict",
        content=iter([*pieces, film.read_bytes(), b"\r\n--b--\r\n"]),
        headers={"content-type": "multipart/form-data; boundary=b"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text


def test_words_for_people_have_an_end(server: LiveServer) -> None:
    answer = server.post(b"x" * 100_000, headers={"content-type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, answer.json()["error"]) == (400, "the form cannot be read")


def test_a_form_of_very_many_parts_is_not_read_to_its_end(server: LiveServer) -> None:
    part = b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\nx\r\n"
    began = time.monotonic()
    answer = server.post(part * 60_000, headers={"content-type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, answer.json()["error"]) == (400, "the form has more than 32 parts")
    assert time.monotonic() - began < 1


def test_a_form_without_a_boundary(server: LiveServer) -> None:
    answer = server.post(b"x", headers={"content-type": "multipart/form-data"})
    assert (answer.status_code, answer.json()["error"]) == (400, "the form has no boundary")


# Bombs ---------------------------------------------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    """A real picture of one bit a pixel, a thousandth of its size when packed."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_small_file_of_16k_by_16k_pixels(server: LiveServer) -> None:
    bomb = png_of(16000, 16000)
    assert len(bomb) < 50_000
    answer = server.post(bomb)
    assert answer.status_code == 413
    assert answer.json()["error"] == "its pictures have 16000 x 16000 pixels, more than 2,097,152"


def test_a_film_of_large_pictures(server: LiveServer, tmp_path: Path) -> None:
    """Of one colour: 4096 x 4096 pixels in a few kilobytes a frame."""
    bomb = write_numbered_film(tmp_path / "bomb.mp4", 3, size=(4096, 4096), options={"preset": "ultrafast"})
    assert server.post(bomb).status_code == 413


def test_decoding_gets_no_more_memory_than_it_may(film: Path, tmp_path: Path) -> None:
    bomb = write_numbered_film(tmp_path / "bomb.mp4", 3, size=(4096, 4096), options={"preset": "ultrafast"})
    with live_server(limits=Limits(workers=1, memory=48 * MEGABYTE)) as server:
        answer = server.post(bomb)
        assert answer.status_code == 422
        assert server.post(film).status_code == 200


def test_a_film_whose_pictures_grow_on_the_way(server: LiveServer, tmp_path: Path) -> None:
    """A transport stream goes on with another size: what its header says holds no longer, memory and time do."""
    parts = [
        write_numbered_film(
            tmp_path / f"{size}.ts", 10, size=(size, size), options={"preset": "ultrafast"}
        ).read_bytes()
        for size in (64, 4096)
    ]
    began = time.monotonic()
    assert server.post(b"".join(parts)).status_code in (200, 413, 422)
    assert time.monotonic() - began < server.service.limits.decode + 3


def long_film(path: Path, seconds: int, frames: int = 4) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 50, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number * seconds * 1000 // (frames - 1), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_small_file_of_thousands_of_seconds(server: LiveServer, tmp_path: Path) -> None:
    for name in ("bomb.mp4", "bomb.mkv"):
        bomb = long_film(tmp_path / name, seconds=9000)
        assert bomb.stat().st_size < 10_000
        answer = server.post(bomb)
        assert answer.status_code == 413
        assert "longer than 20 s" in answer.json()["error"]


def test_a_film_of_too_many_frames(tmp_path: Path, film: Path) -> None:
    with live_server(limits=Limits(workers=1, frames=10)) as server:
        answer = server.post(film)
        assert (answer.status_code, answer.json()["error"]) == (413, "it has 20 frames, more than 10")


@pytest.fixture(scope="module")
def sound_films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    films: dict[str, bytes] = {}
    for kind in {kind for kind, _ in CLAIMS.values()} - {"png", "jpg"}:
        own = folder / kind
        own.mkdir()
        films[kind] = FILMS[SMALL[kind]](own).path.read_bytes()
    films["mkv, large"] = write_numbered_film(folder / "large.mkv", 4, size=(720, 1280)).read_bytes()
    with av.open(str(folder / "a.jpg"), "w", format="image2") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    return {**films, "png": b"", "jpg": (folder / "a.jpg").read_bytes()}


@pytest.mark.parametrize("claim", CLAIMS)
def test_headers_that_lie(server: LiveServer, sound_films: dict[str, bytes], claim: str) -> None:
    kind, change = CLAIMS[claim]
    kind = "mkv, large" if claim.startswith("MKV of") else kind  # two bytes for each side
    began = time.monotonic()
    answer = server.post(change(sound_films[kind]))
    assert answer.status_code in (200, 413, 415, 422), answer.text
    if answer.status_code != 200:
        assert len(answer.json()["error"]) > 10
    assert time.monotonic() - began < server.service.limits.decode + 3


# Decoders ------------------------------------------------------------------------------------------------------------


def pids(server: LiveServer) -> list[int]:
    return [process._process.pid for process in server.service._readers._all if process._process is not None]


def test_a_decoder_that_hangs_is_ended_and_replaced(film: Path) -> None:
    """A process that was stopped is one that hangs: it answers to nothing but being ended."""
    with live_server(limits=Limits(workers=1, decode=0.5)) as server:
        (pid,) = pids(server)
        os.kill(pid, signal.SIGSTOP)
        answer = server.post(film)
        assert (answer.status_code, answer.json()["error"]) == (422, "decoding it takes longer than 0.5 s")
        assert server.post(film).status_code == 200
        assert pids(server) != [pid]
        assert 'zoo_serve_readers_ended_total{why="time"} 1.0' in server.get("/metrics").text


def test_a_decoder_that_dies_over_a_film_is_replaced(film: Path) -> None:
    with live_server(limits=Limits(workers=1, decode=10)) as server:
        (pid,) = pids(server)
        os.kill(pid, signal.SIGSTOP)  # so that it dies while it is at work
        threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
        answer = server.post(film)
        assert (answer.status_code, answer.json()["error"]) == (422, "the decoder broke down over it")
        assert server.post(film).status_code == 200


def test_a_film_that_is_not_taken_over_costs_no_other(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory for it, what the decoder goes on to send must not be taken for the next film."""
    from zoo.serving import film_readers

    with live_server(limits=Limits(workers=1)) as server:
        expected = server.post(film).json()["answer"]
        (pid,) = pids(server)
        with monkeypatch.context() as patched:

            def fails(*given: object) -> None:
                raise MemoryError

            patched.setattr(film_readers, "_tensor", fails)
            assert server.post(film).status_code == 503
        answer = server.post(film)
        assert (answer.status_code, answer.json().get("answer")) == (200, expected)
        assert pids(server) != [pid]
        assert server.service._readers.budget.taken == 0


def test_a_decoder_that_died_in_between_is_replaced(film: Path) -> None:
    with live_server(limits=Limits(workers=1)) as server:
        (pid,) = pids(server)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        assert server.post(film).status_code == 200


def test_one_film_that_hangs_holds_up_no_other(film: Path) -> None:
    with live_server(limits=Limits(workers=2, decode=3)) as server:
        os.kill(pids(server)[1], signal.SIGSTOP)
        slow: list[int] = []
        thread = threading.Thread(target=lambda: slow.append(server.post(film).status_code))
        thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        assert server.post(film).status_code == 200
        assert time.monotonic() - began < 2
        thread.join()
        assert slow == [422]


def test_a_decoder_that_hangs_does_not_hold_up_the_end(film: Path) -> None:
    with live_server(limits=Limits(workers=1, decode=20)) as server:
        os.kill(pids(server)[0], signal.SIGSTOP)
        thread = threading.Thread(target=server.post, args=(film,), daemon=True)
        thread.start()
        time.sleep(0.5)
        began = time.monotonic()
        server.server.handle_exit(2, None)
        server.server.handle_exit(2, None)
        thread.join(5)
    assert time.monotonic() - began < 6


def received(server: LiveServer) -> float:
    (line,) = [
        line for line in server.get("/metrics").text.splitlines() if line.startswith("zoo_serve_received_bytes_total ")
    ]
    return float(line.split()[1])
