"""What all tests share: a cache of their own, and the real films of `ZOO_SHARED`."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache below the test run's folder, one for all its processes; tests read neither a user's nor their choices."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    os.environ["ZOO_CACHE"] = str(folder)
    os.environ["ZOO_CONFIG"] = str(folder / "config")
    os.environ.pop("ZOO_PLUGINS", None)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real films, weights and reference outputs, which are never part of the repository."""
    folder = Path(os.environ.get("ZOO_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared test data, absent at {folder}; ZOO_SHARED names its parent folder")
    return folder
