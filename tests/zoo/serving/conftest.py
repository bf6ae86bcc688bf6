"""A server, and a film to send to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.zoo.data.films import write_numbered_film

if TYPE_CHECKING:
    from tests.zoo.serving.live_server import LiveServer


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264, 64 x 64 pixels, from dark to bright."""
    return write_numbered_film(tmp_path_factory.mktemp("served") / "film.mp4")


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One with the limits of the command line, but two processes that decode."""
    from tests.zoo.serving.live_server import live_server  # needs the extra

    with live_server() as server:
        yield server
