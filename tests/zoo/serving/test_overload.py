"""More requests than a server can answer: each is told so at once, and those let in are answered."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from torch import nn

from tests.zoo.serving import raw_request
from tests.zoo.serving.live_server import LiveServer, httpx, live_server, tiny_model
from zoo.model import ZooModel
from zoo.serving.limits import Limits
from zoo_registry.errors import ParameterError


class Slow(nn.Module):
    """Takes its time over films, not over the ones of nothing that a server begins with."""

    def __init__(self, network: nn.Module, seconds: float) -> None:
        super().__init__()
        self.network, self.seconds = network, seconds

    def forward(self, clip_bcthw):
        if clip_bcthw.std() > 0:
            time.sleep(self.seconds)
        return self.network(clip_bcthw)


def slow_model(seconds: float) -> ZooModel:
    made = tiny_model()
    return ZooModel(
        Slow(made.network, seconds), name=made.name, num_classes=3, clip=made.clip, labels=made.labels, task=made.task
    ).eval()


def wait_for_work(server: LiveServer, number: int = 1) -> None:
    deadline = time.monotonic() + 10
    while server.service.in_work < number:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ends(server: LiveServer, within: float) -> bool:
    """Whether nobody can connect any more within so many seconds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            server.get("/health")
        except httpx.TransportError:
            return True
        time.sleep(0.05)
    return False


def test_a_full_queue_sends_the_others_away(film: Path) -> None:
    with live_server(slow_model(0.3), limits=Limits(workers=2, queue=4, batch=2)) as server:
        with ThreadPoolExecutor(20) as clients:
            answers = list(clients.map(server.post, [film] * 20))
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) == {200, 429}
        assert statuses[200] >= 4
        for answer in answers:
            if answer.status_code == 429:
                assert 1 <= int(answer.headers["retry-after"]) <= 30
                assert answer.json()["error"] == "4 requests are being answered, no more are let in"
        assert server.get("/ready").json() == {"ready": True, "queue": 0, "capacity": 4}
        assert server.films_on_disk == []


def test_being_sent_away_is_heard_while_the_film_is_still_sent(tmp_path: Path) -> None:
    """Whatever the client: closing the connection at once would lose the answer."""
    with live_server(slow_model(1.0), limits=Limits(workers=1, queue=1)) as server:
        large = bytes(20 << 20)
        first = raw_request.connect(server.url)
        first.sendall(raw_request.head(len(large)))  # takes the only place
        wait_for_work(server)
        for more in ((), ("Connection: close",)):
            second = raw_request.connect(server.url)
            second.sendall(raw_request.head(len(large), *more))
            for at in range(0, 4 << 20, 65536):
                second.sendall(large[at : at + 65536])
            assert raw_request.answer(second)[0] == 429
            second.close()
        first.close()


def test_an_answer_that_takes_too_long_is_not_waited_for(film: Path) -> None:
    with live_server(slow_model(1.0), limits=Limits(workers=1, timeout=0.5, decode=0.4, batch=1)) as server:
        began = time.monotonic()
        answer = server.post(film)
        assert answer.status_code == 503
        assert answer.json()["error"] == "there was no answer within 0.5 s"
        assert "retry-after" in answer.headers
        assert time.monotonic() - began < 0.9
        assert server.films_on_disk == []


def test_a_model_that_hangs_makes_a_server_unready(film: Path) -> None:
    with live_server(slow_model(2.0), limits=Limits(workers=1, timeout=0.5, decode=0.4)) as server:
        assert server.get("/ready").status_code == 200
        server.post(film)
        time.sleep(0.3)
        assert server.get("/ready").status_code == 503
        assert server.get("/health").status_code == 200
        time.sleep(1.7)
        assert server.get("/ready").status_code == 200


def test_who_left_is_not_answered(film: Path) -> None:
    """The model is not asked for someone who no longer waits: of four, the first is at work when they leave."""
    with live_server(slow_model(0.5), limits=Limits(workers=2, batch=1)) as server:
        connections = [raw_request.connect(server.url) for _ in range(4)]
        for connection in connections:
            connection.sendall(raw_request.head(film.stat().st_size) + film.read_bytes())
        wait_for_work(server, 4)
        time.sleep(0.3)
        for connection in connections:
            connection.close()
        deadline = time.monotonic() + 1
        while server.service.in_work and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.service.in_work == 0
        began = time.monotonic()
        assert server.post(film).status_code == 200
        assert time.monotonic() - began < 1.4  # the one at work and our own, not five
        assert 'code="499"' in server.get("/metrics").text


def test_a_server_that_ends_answers_what_was_begun_and_lets_nothing_in(film: Path) -> None:
    with live_server(slow_model(0.8), limits=Limits(workers=1)) as server:
        begun: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: begun.append(server.post(film)))
        thread.start()
        wait_for_work(server)
        server.server.handle_exit(15, None)
        late = server.post(film)
        assert late.status_code == 503
        assert late.json()["error"] == "this server is shutting down"
        assert "retry-after" in late.headers
        assert server.get("/ready").json()["ready"] is False
        thread.join()
        assert begun[0].status_code == 200
        assert server.said == ["SIGTERM: 1 requests are answered first"]
        assert ends(server, within=5)


def test_a_second_signal_ends_it_at_once(film: Path) -> None:
    with live_server(slow_model(3.0), limits=Limits(workers=1, batch=1)) as server:

        def ask() -> None:
            with suppress(httpx.TransportError):
                server.post(film)

        threading.Thread(target=ask, daemon=True).start()
        wait_for_work(server)
        server.server.handle_exit(2, None)
        server.server.handle_exit(2, None)
        assert ends(server, within=2)


def test_more_connections_than_there_is_room_for_are_told_so(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.serving.server.most_connections", lambda limits: 8)
    with live_server(limits=Limits(workers=1)) as server:
        idle = [raw_request.connect(server.url) for _ in range(8)]
        time.sleep(0.2)
        assert server.get("/health").status_code == 503
        for connection in idle:
            connection.close()
        time.sleep(0.2)
        assert server.post(film).status_code == 200


@pytest.mark.parametrize(
    ("soft", "hard", "connections"),
    [
        (20_000, 20_000, 4096 - 64 - 64),
        (1024, 1 << 20, 4096 - 64 - 64),
        (1024, 1024, 1024 - 64 - 64),
        (-1, -1, 4096 - 64 - 64),
    ],
)
def test_connections_are_bounded_whatever_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, connections: int
) -> None:
    resource = pytest.importorskip("resource", reason="Windows has none")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    from zoo.serving.server import most_connections

    assert most_connections(Limits(queue=64)) == connections


def never_reads(server: LiveServer) -> socket.socket:
    """A client that asks for more than fits into what the systems hold for it, and reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    parts = urlsplit(server.url)
    connection.connect((parts.hostname, parts.port))
    connection.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            connection.send(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    return connection


def are_open(server: LiveServer, number: int, within: float) -> bool:
    """Whether the server comes to have so many connections within so many seconds."""
    deadline = time.monotonic() + within
    while len(server.server.server_state.connections) != number:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_who_never_reads_is_let_go(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.serving.connection.UNREAD_LIMIT", 1.0)
    with live_server(limits=Limits(workers=1)) as server:
        with closing(never_reads(server)):
            assert are_open(server, 1, within=5)
            time.sleep(0.3)
            assert are_open(server, 1, within=0)
            assert are_open(server, 0, within=5)
        with closing(raw_request.connect(server.url)) as connection:  # it reads with breaks, shorter than the limit
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.5)
            assert raw_request.answer(connection)[0] == 200
        assert server.post(film).status_code == 200


def test_who_never_reads_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    with live_server(limits=Limits(workers=1)) as server, closing(never_reads(server)):
        assert are_open(server, 1, within=5)
        time.sleep(0.5)
        began = time.monotonic()
        server.server.handle_exit(15, None)
        assert are_open(server, 0, within=4)
        assert ends(server, within=5)
        assert time.monotonic() - began < 5
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


def test_limits_that_are_none_are_all_said() -> None:
    with pytest.raises(ParameterError) as caught:
        Limits(size=0, queue=-1, wait=40)
    assert [problem.message for problem in caught.value.problems] == [
        "size is 0, it has to be above 0",
        "queue is -1, it has to be above 0",
        "wait is 40 s, of a timeout of 30.0 s",
    ]
