"""A server of the zoo on loopback, in a thread of the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import zoo
from zoo.model import ZooModel
from zoo.serving.limits import Limits

if TYPE_CHECKING:
    import uvicorn

    from zoo.serving.service import Service

for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):  # what imports this module is skipped
    pytest.importorskip(package, reason="needs the extra `serve`")
httpx = pytest.importorskip("httpx", reason="needs httpx, of the extra `dev`")


@dataclass
class LiveServer:
    """What a test can do with it.

    Attributes:
        url: where it answers.
        model: that it asks.
        service: its inside, to look at.
        said: what it told its user.
    """

    url: str
    model: ZooModel
    service: Service
    server: uvicorn.Server
    said: list[str]

    def post(self, film: Path | bytes, **more) -> httpx.Response:
        """A film as the body."""
        content = film if isinstance(film, bytes) else film.read_bytes()
        headers = {"content-type": "application/octet-stream", **more.pop("headers", {})}
        return httpx.post(f"{self.url}/predict", content=content, headers=headers, timeout=60, **more)

    def post_form(self, film: Path | bytes, name: str = "film.mp4", field: str = "film") -> httpx.Response:
        """A film as a form sends it."""
        content = film if isinstance(film, bytes) else film.read_bytes()
        return httpx.post(f"{self.url}/predict", files={field: (name, content)}, timeout=60)

    def post_address(self, address: str) -> httpx.Response:
        return httpx.post(f"{self.url}/predict", json={"url": address}, timeout=60)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60)

    @property
    def films_on_disk(self) -> list[Path]:
        return sorted(self.service._folder.path.iterdir())


def tiny_model(**clip) -> ZooModel:
    torch.manual_seed(0)
    wanted = {"frames": 4, "stride": 2, "size": 32, **clip}
    model = zoo.load("basic/cnn3d", pretrained=False, num_classes=3, clip=wanted)
    model.labels = ("dark", "<b>grey</b>", "bright")
    return model


@contextmanager
def live_server(
    model: ZooModel | None = None,
    *,
    limits: Limits | None = None,
    views: int = 1,
    allow: tuple[str, ...] = (),
    private: bool = False,
    title: str = "A <i>title</i>",
) -> Iterator[LiveServer]:
    from zoo.serving.addresses import AllowList
    from zoo.serving.app import make_app
    from zoo.serving.server import address_of, bound_socket, draining_server
    from zoo.serving.service import Service

    model = tiny_model() if model is None else model
    said: list[str] = []
    with bound_socket("127.0.0.1", 0) as listening:
        service = Service(model, limits or Limits(workers=2), views=views)
        app = make_app(service, AllowList(allow, private=private), title=title, views=views)
        server = draining_server(app, service, said.append)
        url = address_of(listening)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield LiveServer(url, model, service, server, said)
        finally:
            server.should_exit = True
            thread.join(30)
            service.close()
    assert not thread.is_alive()
