"""The fetcher of `https://`: one file, kept in the cache under its address, verified by its checksum."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urldefrag, urlsplit

from zoo.artefact.checksums import sha256_of
from zoo.hub.client import set_environment
from zoo_registry.catalog import cache_folder
from zoo_registry.errors import HubError
from zoo_registry.protocols import Fetch, Fetched

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as lost."""

_ATTEMPTS = 3
_CHUNK = 2**20
_CHECKSUM = re.compile(r"sha256=([0-9a-fA-F]{8,64})")


def web_fetcher() -> Fetch:
    """Builder of the fetcher of `https://`."""
    return fetch_file


def fetch_file(uri: str, *, files: Iterable[str] | None = None) -> Fetched:
    """Fetch one file, or find it in the cache.

    Args:
        uri: `https://...`, with `#sha256=` and at least the first eight digits of its checksum where that is known.
        files: not looked at, there is only one.

    Returns:
        The file, and its URI with the whole checksum.

    Raises:
        HubError: it cannot be had, or is not the file that the checksum names.
    """
    address, fragment = urldefrag(uri)
    checksum = _CHECKSUM.fullmatch(fragment)
    if urlsplit(address).scheme != "https" or (fragment and not checksum):
        raise HubError(f"{uri!r} cannot be fetched", hint="write https://..., or https://...#sha256=<checksum>")
    folder = cache_folder() / "downloads" / hashlib.sha256(address.encode()).hexdigest()[:16]
    path = download(address, folder, sha256=checksum[1].lower() if checksum else "")
    return Fetched(path, f"{address}#sha256={path.parent.name}", immutable=True)


def download(address: str, folder: Path, *, sha256: str = "") -> Path:
    """The file at an address, kept as `folder/<sha256>/<name>`.

    Args:
        address: `https` outside of tests.
        folder: of this address alone.
        sha256: the checksum, or how it starts.

    Raises:
        HubError: see `fetch_file`.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(urlsplit(address).path).rpartition("/")[2]).lstrip(".") or "file"
    for kept in folder.glob(f"*/{name}"):
        if kept.parent.name.startswith(sha256) and sha256_of(kept) == kept.parent.name:
            return kept
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{name}.{os.getpid()}.tmp"
    try:
        _transfer(address, temporary)
        found = sha256_of(temporary)
        if not found.startswith(sha256):
            raise HubError(
                f"{address} is not the file it should be: sha256 {found[:12]}…, should start with {sha256[:12]}",
                hint="it was changed, or damaged on the way; it was not kept",
            )
        kept = folder / found / name
        kept.parent.mkdir(exist_ok=True)
        temporary.replace(kept)
        return kept
    finally:
        temporary.unlink(missing_ok=True)


def _transfer(address: str, path: Path) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _OPENER.open(address, timeout=TIMEOUT) as answer, path.open("wb") as file:
                _copy(answer, file)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == _ATTEMPTS:
                raise HubError(f"{address} answers {error.code} {error.reason}", hint="check the address") from error
        except (OSError, http.client.HTTPException) as error:
            if attempt == _ATTEMPTS:
                reason = getattr(error, "reason", None) or error or type(error).__name__
                raise HubError(f"cannot fetch {address}: {reason}", hint="check the connection and retry") from error


def _copy(answer: http.client.HTTPResponse, file: IO[bytes]) -> None:
    set_environment()
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # the bars of hf://, silenced alike

    expected = answer.headers.get("Content-Length")
    received = 0
    name = urlsplit(answer.url).path.rpartition("/")[2]
    with tqdm(  # type: ignore[no-untyped-call]
        total=int(expected) if expected else None, unit="B", unit_scale=True, desc=name, disable=None, leave=False
    ) as bar:
        while chunk := answer.read(_CHUNK):
            received += file.write(chunk)
            bar.update(len(chunk))
    if expected is not None and received != int(expected):
        raise ConnectionError(f"the connection broke after {received} of {expected} bytes")


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, never from https to something unencrypted."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_NoDowngrade)
