"""A server, and a film to send to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from tests.zoo.data.films import write_numbered_film
from tests.zoo.serving.live_server import LiveServer, live_server


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264, 64 x 64 pixels, from dark to bright."""
    return write_numbered_film(tmp_path_factory.mktemp("served") / "film.mp4")


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One with the limits of the command line, but two processes that decode."""
    with live_server() as server:
        yield server
