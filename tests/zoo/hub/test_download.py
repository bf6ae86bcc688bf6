"""The fetcher of `https://`: verified, kept, and never less encrypted than it was asked for."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from zoo.hub.download import _NoDowngrade, download, fetch_file
from zoo_registry.errors import HubError

from .server import Fault, HubServer

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def address(hub: HubServer) -> str:
    hub.put("me/files", {"r3d_18-b3b3357e.pth": CONTENT})
    return f"{hub.url}/me/files/resolve/main/r3d_18-b3b3357e.pth"


def downloads(hub: HubServer) -> int:
    return sum(request.startswith("GET ") for request in hub.requests)


def test_a_file_is_fetched_once_and_kept_under_its_name(hub: HubServer, address: str, tmp_path: Path) -> None:
    first = download(address, tmp_path, sha256=SHA256[:8])
    assert (first.name, first.read_bytes()) == ("r3d_18-b3b3357e.pth", CONTENT)
    assert download(address, tmp_path, sha256=SHA256) == first
    assert downloads(hub) == 1


def test_another_file_than_the_checksum_names_is_not_kept(address: str, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="should start with 00000000"):
        download(address, tmp_path, sha256="00000000")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_copy_that_rotted_is_fetched_again(hub: HubServer, address: str, tmp_path: Path) -> None:
    kept = download(address, tmp_path)
    kept.write_bytes(b"x" + CONTENT[1:])
    assert download(address, tmp_path).read_bytes() == CONTENT
    assert downloads(hub) == 2


@pytest.mark.parametrize("fault", [{"drop_after": 100}, {"status": 503}])
def test_a_transfer_that_fails_is_tried_again(
    fault: dict[str, int], hub: HubServer, address: str, tmp_path: Path
) -> None:
    hub.faults.append(Fault("resolve", times=2, **fault))  # type: ignore[arg-type]
    assert download(address, tmp_path).read_bytes() == CONTENT


def test_a_transfer_that_keeps_failing_says_why_and_leaves_nothing(
    hub: HubServer, address: str, tmp_path: Path
) -> None:
    hub.faults.append(Fault("resolve", times=9, drop_after=100))
    with pytest.raises(HubError, match=f"the connection broke after 100 of {len(CONTENT)} bytes"):
        download(address, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_is_not_there_is_said(hub: HubServer, address: str, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="answers 404"):
        download(f"{hub.url}/nowhere/x.pth", tmp_path)
    assert downloads(hub) == 1


def test_a_server_that_is_down_is_said(hub: HubServer, address: str, tmp_path: Path) -> None:
    hub.stop()
    with pytest.raises(HubError, match="Connection refused"):
        download(address, tmp_path)


@pytest.mark.parametrize(
    "uri", ["http://example.org/x.pth", "https://example.org/x.pth#main", "https://e.org/#sha256=12"]
)
def test_only_https_with_a_checksum_or_none_is_fetched(uri: str) -> None:
    with pytest.raises(HubError, match="cannot be fetched"):
        fetch_file(uri)


def test_a_redirect_to_http_is_not_followed() -> None:
    request = urllib.request.Request("https://example.org/x.pth")
    with pytest.raises(urllib.error.URLError, match="not encrypted"):
        _NoDowngrade().redirect_request(request, None, 302, "Found", {}, "http://example.org/x.pth")
