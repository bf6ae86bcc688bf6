"""Films by their address: from hosts that were allowed, at public addresses, whatever they are moved to."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.zoo.serving.live_server import LiveServer, live_server
from tests.zoo.streaming.servers import serving
from zoo.serving.addresses import AllowList, is_public
from zoo.serving.limits import Limits
from zoo.serving.refusal import Refusal
from zoo_registry.errors import ParameterError

# Which addresses are public: the registries of IANA for special purposes, RFC 6890 and those after it.
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.0.1", "198.18.0.1",
    "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("films.org", "https://films.org/a.mp4"),
        ("films.org", "http://FILMS.org./a.mp4?b=c"),
        ("*.films.org", "https://a.b.films.org/"),
        ("https://films.org", "https://films.org/"),
        ("films.org:8080", "http://films.org:8080/"),
        ("[2606:4700:4700::1111]", "http://[2606:4700:4700::1111]/a"),
        ("xn--mnchen-3ya.de", "https://münchen.de/"),
    ],
)
def test_what_is_allowed(pattern: str, address: str) -> None:
    AllowList([pattern]).target(address)


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("films.org", "https://films.org.evil.com/"),
        ("films.org", "https://evilfilms.org/"),
        ("films.org", "https://a.films.org/"),
        ("*.films.org", "https://films.org/"),
        ("*.films.org", "https://evilfilms.org/"),
        ("https://films.org", "http://films.org/"),
        ("films.org", "http://films.org:8080/"),
        ("films.org:8080", "http://films.org/"),
        ("films.org", "https://films.org@evil.com/"),
        ("films.org", "https://user:secret@films.org/"),
        ("films.org", "ftp://films.org/"),
        ("films.org", "file:///etc/passwd"),
        ("films.org", "file://films.org/etc/passwd"),
        ("films.org", "gopher://films.org/"),
        ("films.org", "rtsp://films.org/"),
        ("films.org", "//films.org/"),
        ("films.org", "films.org"),
        ("127.0.0.1", "http://2130706433/"),
        ("127.0.0.1", "http://0x7f.1/"),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/"),
    ],
)
def test_what_is_not_allowed(pattern: str, address: str) -> None:
    with pytest.raises(Refusal) as caught:
        AllowList([pattern]).target(address)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "address",
    [
        "https://films.org\\@evil.com/", "https://films.org/a b", "https://films.org/\r\nHost: evil", "https://films.org:x/",
        "https://films.org:99999/", "https://[::1/", "https://films.org/" + "a" * 3000, "https://films.org/\x00",
        "https://films.org/ä", "concat:https://films.org/|/etc/passwd",
    ],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(Refusal) as caught:
        AllowList(["films.org"]).target(address)
    assert caught.value.status == 400


def test_patterns_that_are_none_are_all_said() -> None:
    with pytest.raises(ParameterError) as caught:
        AllowList(["*", "films.org", "films.org/path", "ftp://films.org", "films.org:70000", "f*.org", ""])
    assert [problem.message for problem in caught.value.problems] == [
        f"{pattern!r} is no host"
        for pattern in ("*", "films.org/path", "ftp://films.org", "films.org:70000", "f*.org", "")
    ]


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names mean these addresses, one list after the other; the list returned has what was asked."""
    asked: list[str] = []
    left = iter(answers)

    async def getaddrinfo(self, host, port, **more):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(left)]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_that_leads_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = AllowList(["films.org"])
    target = allowed.target("http://films.org/")
    for addresses in (["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], []):
        resolving(monkeypatch, addresses)
        with pytest.raises(Refusal) as caught:
            asyncio.run(allowed.addresses(target))
        assert caught.value.status == 403


def test_a_name_is_asked_for_once_and_the_connection_goes_where_it_was_checked(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name whose second answer is another one (DNS rebinding) gets no second question."""
    from zoo.serving.download import download
    from zoo.serving.film_file import FilmFolder

    with serving(lambda handler, _: send(handler, film.read_bytes())) as address:
        port = urlsplit(address).port
        connected: list[tuple[str, int]] = []
        connect = asyncio.open_connection

        async def open_connection(host, given, **more):
            connected.append((host, given))
            return await connect("127.0.0.1", port, **more)

        asked = resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
        folder = FilmFolder()
        with folder.film(1 << 20) as file:

            async def fetch() -> None:
                monkeypatch.setattr(asyncio, "open_connection", open_connection)
                try:
                    await download("http://films.org/a.mp4", file, AllowList(["films.org"]), 1 << 20)
                except StopIteration:  # the connection to loopback asks what 127.0.0.1 means
                    pytest.fail("the name was asked for again")

            monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", counted(asked))
            asyncio.run(fetch())
            assert file.size == film.stat().st_size
        folder.close()
    assert asked.count("films.org") == 1
    assert connected == [("93.184.216.34", 80)]


def counted(asked: list[str]) -> Callable:
    """`films.org` is public; an IP address is itself."""

    async def getaddrinfo(self, host, port, **more):
        asked.append(host)
        address = "93.184.216.34" if host == "films.org" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    return getaddrinfo


# Over the wire -------------------------------------------------------------------------------------------------------


def send(handler: BaseHTTPRequestHandler, content: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    headers = {
        "Content-Length": str(len(content)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture(scope="module")
def films(film: Path) -> Iterator[str]:
    """A server of films, good and bad."""
    content = film.read_bytes()

    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        match handler.path.partition("?")[0].rpartition("/")[2]:
            case "film.mp4":
                send(handler, content)
            case "chunked.mp4":
                handler.protocol_version = "HTTP/1.1"
                handler.send_response(200)
                handler.send_header("Transfer-Encoding", "chunked")
                handler.end_headers()
                handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))
            case "here":
                send(handler, b"", 302, Location="film.mp4")
            case "to-private":
                send(handler, b"", 302, Location="http://169.254.169.254/latest/meta-data/")
            case "to-file":
                send(handler, b"", 302, Location="file:///etc/passwd")
            case "to-other-host":
                send(handler, b"", 302, Location="http://localhost:1/")
            case "to-half-an-address":
                send(handler, b"", 302, Location="http://[x")
            case "to-a-port-of-letters":
                send(handler, b"", 302, Location="http://127.0.0.1:bad/")
            case "to-odd-letters":
                send(handler, b"", 302, Location="/\xe9")
            case "round":
                send(handler, b"", 301, Location="round")
            case "large":
                send(handler, b"x", Content_Length=str(8 << 30))
            case "endless":
                handler.send_response(200)
                handler.end_headers()
                while True:
                    handler.wfile.write(content[:12] + bytes(65536))
            case "cut":
                send(handler, content[:500], Content_Length=str(len(content)))
            case "slow":
                handler.send_response(200)
                handler.end_headers()
                for byte in content[:200]:
                    handler.wfile.write(bytes([byte]))
                    time.sleep(0.1)
            case "long-head":
                send(handler, content, X="y" * 60_000)
            case "packed":
                send(handler, content, Content_Encoding="gzip")
            case "list.m3u8":
                send(handler, b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
            case _:
                send(handler, b"nothing", 404)

    with serving(answer) as address:
        yield address.rpartition("/")[0]


@pytest.fixture(scope="module")
def server(films: str) -> Iterator[LiveServer]:
    host = urlsplit(films).netloc
    limits = Limits(workers=1, size=1 << 20, timeout=3, decode=2)
    with live_server(limits=limits, allow=(host,), private=True) as server:
        yield server


def test_a_film_by_its_address_is_answered_like_the_film(server: LiveServer, films: str, film: Path) -> None:
    expected = server.post(film).json()["answer"]
    for name in ("film.mp4", "chunked.mp4", "here", "film.mp4?a=b"):
        answer = server.post_address(f"{films}/{name}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["answer"] == expected
    assert server.films_on_disk == []


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("nothing.mp4", 422, "answers 404 Not Found"),
        ("to-private", 403, "films from http://169.254.169.254 are not fetched by this server"),
        ("to-file", 403, "begin with http:// or https://"),
        ("to-other-host", 403, "films from http://localhost:1 are not fetched"),
        ("to-half-an-address", 422, "moved to what is no address"),
        ("to-a-port-of-letters", 422, "moved to what is no address"),
        ("to-odd-letters", 422, "moved to what is no address"),
        ("round", 422, "moved more than 3 times"),
        ("large", 413, "larger than 1,048,576 bytes"),
        ("endless", 413, "larger than 1,048,576 bytes"),
        ("cut", 422, "its answer is cut off"),
        ("slow", 503, "no answer within 3 s"),
        ("long-head", 422, "does not keep to HTTP"),
        ("packed", 422, "sends it packed"),
        ("list.m3u8", 415, "it is text"),
    ],
)
def test_servers_of_films_that_behave_badly(
    server: LiveServer, films: str, name: str, status: int, reason: str
) -> None:
    began = time.monotonic()
    answer = server.post_address(f"{films}/{name}")
    assert answer.status_code == status
    assert reason in answer.json()["error"]
    assert time.monotonic() - began < 4
    assert server.films_on_disk == []


def test_a_server_that_is_not_there(film: Path) -> None:
    with live_server(limits=Limits(workers=1), allow=("127.0.0.1:1", "nowhere.invalid"), private=True) as server:
        answer = server.post_address("http://127.0.0.1:1/a.mp4")
        assert (answer.status_code, "127.0.0.1:1 cannot be read from" in answer.text) == (422, True)
        answer = server.post_address("http://nowhere.invalid/a.mp4")
        assert (answer.status_code, answer.json()["error"]) == (422, "there is no host nowhere.invalid")


@pytest.fixture(scope="module")
def secure(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a server that speaks TLS with a certificate for films.org, and the certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command, to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=films.org"]
    command += ["-addext", "subjectAltName=DNS:films.org", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            send(self, film.read_bytes())

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, folder / "cert.pem"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("host", "trusted", "status"),
    [("films.org", True, 200), ("films.org", False, 422), ("other.org", True, 422)],
)
def test_certificates_are_those_of_the_name(
    film: Path, secure: tuple[int, Path], monkeypatch: pytest.MonkeyPatch, host: str, trusted: bool, status: int
) -> None:
    """Though the connection goes to an address that was looked up before."""
    port, certificate = secure
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def getaddrinfo(self, name, port, **more):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    with live_server(limits=Limits(workers=1), allow=(f"https://{host}:{port}",), private=True) as server:
        answer = server.post_address(f"https://{host}:{port}/film.mp4")
        assert answer.status_code == status, answer.text
        if status != 200:
            assert "its certificate is not valid" in answer.json()["error"]


def test_private_hosts_need_to_be_allowed_too(films: str, film: Path) -> None:
    """The host is on the list, and its name leads to this machine."""
    host = urlsplit(films).netloc
    localhost = f"localhost:{urlsplit(films).port}"
    with live_server(limits=Limits(workers=1), allow=(host, localhost)) as server:
        for name in (host, localhost):
            answer = server.post_address(f"http://{name}/film.mp4")
            assert answer.status_code == 403
            assert "is no public address" in answer.json()["error"]


def test_without_a_list_nothing_is_fetched(films: str) -> None:
    with live_server(limits=Limits(workers=1)) as server:
        answer = server.post_address(f"{films}/film.mp4")
        assert answer.status_code == 403
        assert answer.json()["error"] == "this server fetches no addresses; send it the film"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"url": 1}', b'{"url": "http://a/", "x": 1}', b"[" * 9000, b"\xff"]
)
def test_json_that_asks_for_nothing(server: LiveServer, body: bytes) -> None:
    answer = server.post(body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]


def test_json_without_end(server: LiveServer) -> None:
    answer = server.post(b'{"url": "' + b"a" * 100_000, headers={"content-type": "application/json"})
    assert answer.status_code == 413
