"""Streams from real servers on loopback: lost and found again, stalled, endless."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
import numpy as np
import pytest
from PIL import Image

import zoo
from tests.zoo.data.films import write_numbered_film
from tests.zoo.streaming.models import Watcher, model_of, numbers_seen
from tests.zoo.streaming.rtsp_server import serving_rtsp
from tests.zoo.streaming.servers import send_all, send_part, serving
from zoo_registry.errors import UndecodableMedia


@pytest.fixture
def transport(tmp_path: Path) -> bytes:
    """Two seconds of an MPEG transport stream of ten frames per second, numbered."""
    film = write_numbered_film(tmp_path / "live.ts", 20, rate=10, options={"bf": "0", "g": "5"})
    return film.read_bytes()


def with_index_first(film: Path) -> Path:
    """The same film as it is put on servers: what says where its frames are comes before them."""
    target = film.with_name("index_first.mp4")
    with av.open(str(film)) as source, av.open(str(target), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    return target


def are_unbroken(numbers: list[int]) -> bool:
    """Whether these are every second frame from the first one on."""
    return numbers == list(range(numbers[0], numbers[0] + 8, 2))


def test_a_stream_that_is_dropped_is_found_again(transport: bytes) -> None:
    """The first connection breaks in the middle; no window shows frames of both."""
    said: list[str] = []
    network = Watcher()

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number < 2:
            send_all(handler, transport if number else transport[: len(transport) // 2])
        else:
            handler.send_error(404)

    with serving(answer) as address, pytest.raises(UndecodableMedia, match="did not come back in 2 tries"):  # noqa: PT012
        live = zoo.stream(
            model_of(network), address, stride=1, drop="none", reconnect=2, back_off=0.05, say=said.append
        )
        list(live)
    assert live.summary.reconnects == 1
    assert [text for text in said if "the connection broke off; trying again in 0.05 s (1 of 2)" in text]
    assert [text for text in said if "it is back" in text]
    windows = numbers_seen(network)
    assert all(are_unbroken(each) for each in windows)
    assert windows[-14:] == [[start, start + 2, start + 4, start + 6] for start in range(14)]


def test_a_film_on_a_server_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    film = write_numbered_film(tmp_path / "film.mp4", 25, rate=10, size=(256, 256), options={"g": "5"})
    content, network, said = with_index_first(film).read_bytes(), Watcher(), list[str]()

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        send_part(handler, content, most=len(content) * 3 // 4 if number == 0 else None)

    with serving(answer) as address:
        live = zoo.stream(
            model_of(network), address, stride=1, drop="none", real_time=False, back_off=0.05, say=said.append
        )
        answers = list(live)
    assert live.summary.reconnects == 1, said
    assert answers[-1].end == pytest.approx(2.5)
    windows = numbers_seen(network)
    assert windows[0] == [0, 2, 4, 6]
    assert windows[-1] == [18, 20, 22, 24]
    assert all(are_unbroken(each) for each in windows)


def test_a_film_without_an_index_ends_where_the_server_says(transport: bytes) -> None:
    """A transport stream does not say how long it lasts, but its server how many bytes it has."""
    network, said = Watcher(), list[str]()
    with (
        serving(lambda handler, _: send_all(handler, transport, length=len(transport))) as address,
        zoo.stream(model_of(network), address, stride=1, drop="none", reconnect=1, say=said.append) as live,
    ):
        for _ in live:
            if live.summary.reconnects:
                break
    assert live.summary.reconnects == 0, said
    assert numbers_seen(network) == [[start, start + 2, start + 4, start + 6] for start in range(14)]


def test_a_film_without_an_index_that_is_cut_off_has_not_ended(transport: bytes) -> None:
    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        send_all(handler, transport[: None if number else len(transport) // 2], length=len(transport))

    said: list[str] = []
    with (
        serving(answer) as address,
        zoo.stream(
            model_of(Watcher()), address, stride=1, drop="none", real_time=False, back_off=0.05, say=said.append
        ) as live,
    ):
        for _ in live:
            if live.summary.reconnects > 1:
                break
    assert live.summary.reconnects == 1
    assert [text for text in said if "the connection broke off; trying again" in text]


@pytest.mark.parametrize("sends_parts", [False, True])
def test_a_film_whose_index_a_server_cannot_send_first_is_told_so(sends_parts: bool, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (30, 256, 256, 3), dtype=np.uint8)
    with av.open(str(film), "w") as container:  # its index comes last
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 256
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    content = film.read_bytes()

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if sends_parts:
            send_part(handler, content)
        else:
            send_all(handler, content, "video/mp4", length=len(content))

    with serving(answer) as address:
        address = address.replace("live", "film.mp4")
        if sends_parts:
            assert list(zoo.stream(model_of(Watcher()), address, real_time=False, drop="none"))
            return
        with pytest.raises(UndecodableMedia, match=r"its index lies at its end.*no parts(?s:.*)download.*faststart"):
            zoo.stream(model_of(Watcher()), address)


def test_a_server_that_stalls_is_given_up_in_time() -> None:
    released = threading.Event()

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        released.wait(20)

    with serving(answer) as address:
        with pytest.raises(UndecodableMedia, match="it does not answer in time"):
            zoo.stream(model_of(Watcher()), address, timeout=0.3)
        released.set()


def test_a_server_that_stalls_in_the_middle_is_tried_again(transport: bytes) -> None:
    released = threading.Event()
    said: list[str] = []

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        send_all(handler, transport)
        handler.wfile.flush()
        if number == 0:
            released.wait(20)

    with serving(answer) as address:
        with zoo.stream(
            model_of(Watcher()),
            address,
            timeout=0.5,
            reconnect=1,
            back_off=0.05,
            say=said.append,
            drop="none",
            stride=1,
        ) as live:
            for _ in live:
                if live.summary.reconnects:
                    break
        released.set()
    assert [text for text in said if "it does not answer in time; trying again" in text]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:1/x", "connection refused"),
        ("rtsp://127.0.0.1:1/x", "connection refused"),
        ("http://no-such-host.invalid/x", "it cannot be reached"),
    ],
)
def test_an_address_that_nobody_answers_is_said_at_once(address: str, reason: str) -> None:
    with pytest.raises(UndecodableMedia, match=reason):
        zoo.stream(model_of(Watcher()), address, timeout=2)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(UndecodableMedia) as refused:
        zoo.stream(model_of(Watcher()), "http://me:secret@127.0.0.1:1/x", timeout=2)
    assert "http://***@127.0.0.1:1/x: connection refused" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_page_is_no_film() -> None:
    with (
        serving(lambda handler, _: send_part(handler, b"<html>hello</html>" * 100)) as address,
        pytest.raises(UndecodableMedia, match="what it sends cannot be played"),
    ):
        zoo.stream(model_of(Watcher()), address)


def test_a_camera_is_watched_over_rtsp(transport: bytes) -> None:
    network, said = Watcher(), list[str]()
    with serving_rtsp(transport) as address:
        live = zoo.stream(
            model_of(network), address, stride=1, drop="none", reconnect=1, back_off=0.01, say=said.append
        )
        with live:
            for _ in live:
                if live.summary.reconnects:  # the camera showed its film once, and again when asked again
                    break
    assert numbers_seen(network)[:13] == [[start, start + 2, start + 4, start + 6] for start in range(13)]


def test_a_playlist_is_played_through(tmp_path: Path) -> None:
    """HLS: a list of parts, each a second long, fetched one after the other."""
    film = write_numbered_film(tmp_path / "film.mp4", 25, rate=10, options={"bf": "0", "g": "10"})
    with (
        av.open(str(film)) as source,
        av.open(
            str(tmp_path / "list.m3u8"), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}
        ) as playlist,
    ):
        stream = playlist.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                playlist.mux(packet)
    assert len(list(tmp_path.glob("list*.ts"))) == 3

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        send_part(handler, (tmp_path / handler.path.rpartition("/")[2]).read_bytes())

    network = Watcher()
    with serving(answer) as address:
        address = address.replace("live", "list.m3u8")
        live = zoo.stream(model_of(network), address, stride=2, drop="none", real_time=False, reconnect=0)
        list(live)
    assert numbers_seen(network) == [[start, start + 2, start + 4, start + 6] for start in range(0, 19, 2)]


def test_pictures_without_a_clock_are_displayed_when_they_come() -> None:
    """Motion JPEG, as cheap cameras send it: ten pictures a second, none of which says when it was taken."""
    pause = threading.Event()

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        for shown in range(18):
            picture = BytesIO()
            Image.new("RGB", (64, 64), (10 * shown,) * 3).save(picture, "JPEG")
            content = picture.getvalue()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
            handler.wfile.write(head.encode() + content + b"\r\n")
            pause.wait(0.1)

    network = Watcher()
    with serving(answer) as address, pytest.raises(UndecodableMedia):  # noqa: PT012
        live = zoo.stream(model_of(network, fps=10), address, stride=2, drop="none", reconnect=0)
        list(live)
    _, *later = numbers_seen(network)  # the first pictures come at once, when it is known what they are
    steps = [after - before for each in later for before, after in pairwise(each)]
    assert len(later) >= 3
    assert median(steps) == 2  # by FFmpeg's count of 25 a second it would be 5
