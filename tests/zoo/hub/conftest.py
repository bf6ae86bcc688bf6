"""The loopback Hub, client processes that talk to it, and a small model to publish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .server import HubServer

CLIENT = Path(__file__).with_name("client.py")


@dataclass(frozen=True)
class Answer:
    """What came of a call in a client process."""

    value: Any
    error: str | None
    type: str | None
    warnings: list[str]


@dataclass
class Client:
    """Runs calls in fresh processes that share a cache, as one user would on one machine."""

    hub: HubServer
    home: Path
    token: str | None = None

    def __call__(self, call: str, *args: Any, env: dict[str, str] | None = None, **options: Any) -> Answer:
        order = json.dumps({"call": call, "args": args, "options": options}, default=str)
        ours = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        environment = ours | self.hub.environment(self.home, self.token) | (env or {})
        done = subprocess.run(
            [sys.executable, CLIENT, order], env=environment, text=True, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return Answer(**json.loads(done.stdout))

    def fetch(self, uri: str, *files: str, env: dict[str, str] | None = None) -> Answer:
        return self("zoo.hub.repository:fetch_repository", uri, env=env, **({"files": files} if files else {}))

    def publish(self, folder: Path, to: str, **options: Any) -> Answer:
        return self("zoo.hub.push:publish", folder, to, **({"licence": "apache-2.0"} | options))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def writer(hub: HubServer, tmp_path: Path) -> Client:
    """Somebody who may publish as `me`."""
    return Client(hub, tmp_path / "writer", "hf_writer")


@pytest.fixture
def stranger(hub: HubServer, tmp_path: Path) -> Client:
    """Somebody without a token and with an empty cache."""
    return Client(hub, tmp_path / "stranger")


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real model folder; tests copy it before they change it."""
    import torch

    from zoo.artefact import save_model
    from zoo.build import build
    from zoo_registry.catalog import catalog

    folder = tmp_path_factory.mktemp("saved") / "model"
    listed = catalog().resolve("model", "basic/cnn3d")
    clip = listed.entry.clip  # type: ignore[attr-defined]
    torch.manual_seed(3)
    module = build(listed, {}, {"num_classes": 2, "labels": ("left", "right"), "clip": clip})
    save_model(
        folder,
        module,
        model=listed.name,
        params={},
        clip=clip,
        labels=("left", "right"),
        task={"name": "tasks/classification", "params": {}},
        metrics={"val/accuracy": 0.875, "val/f1/left": 0.8},
    )
    return folder


@pytest.fixture
def files(saved: Path) -> dict[str, bytes]:
    """The same folder as somebody pushed it by other means."""
    return {path.name: path.read_bytes() for path in saved.iterdir()}
