"""Real throw-away distributions: packages with metadata and entry points in a folder that is put on the path."""

import importlib
import importlib.metadata
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from zoo_registry.catalog import Catalog
from zoo_registry.plugins import PluginRecord, load_plugins

HEAD = "from zoo_registry import *\n"


class Site:
    """A folder of installed distributions.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def module(self, name: str, source: str) -> None:
        """Put a module there; what a plugin may import from `zoo_registry` is imported already."""
        path = self.folder / (name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + textwrap.dedent(source))
        importlib.invalidate_caches()

    def distribution(self, name: str, version: str = "1.0", group: str = "zoo.plugins.v1", **plugins: str) -> None:
        """Install a distribution's metadata, as pip would write it, with an entry point for each of `plugins`."""
        folder = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"[{group}]", *(f"{namespace} = {module}" for namespace, module in plugins.items())]
        (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")

    def plugin(self, namespace: str, source: str) -> None:
        """A distribution `zoo-NAMESPACE` with one plugin whose module is `zoo_NAMESPACE`."""
        self.module(f"zoo_{namespace}", source)
        self.distribution(f"zoo-{namespace}", **{namespace: f"zoo_{namespace}"})

    def points(self) -> list[EntryPoint]:
        """The entry points of everything installed here."""
        found = importlib.metadata.distributions(path=[str(self.folder)])
        return [point for distribution in found for point in distribution.entry_points]

    def catalog(self) -> Catalog:
        """A catalogue of what is installed here and of nothing else."""
        return Catalog(load_plugins(self.points()))

    def record(self, namespace: str) -> PluginRecord:
        """What came of loading one plugin."""
        (record,) = [record for record in load_plugins(self.points()).records if record.namespace == namespace]
        return record

    def run(self, code: str) -> str:
        """What a fresh process prints that has this folder first on its path."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-c", textwrap.dedent(code)]
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of distributions that this process can import from; forgotten after the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    before = set(sys.modules)
    yield Site(folder)
    ours = {path.stem for path in folder.iterdir()}
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ours:
            del sys.modules[name]


@pytest.fixture
def problems(site: Site) -> Callable[[], list[str]]:
    """The text of everything the catalogue of the site has to complain about."""
    return lambda: [str(problem) for problem in site.catalog().problems()]
