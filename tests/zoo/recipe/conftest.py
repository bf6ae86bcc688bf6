"""A catalogue of one throw-away plugin, `lab`, and a folder to write recipes into."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from zoo_registry.catalog import Catalog
from zoo_registry.plugins import load_plugins

PLUGIN = """
from zoo_registry import *

@hookimpl
def zoo_models():
    weights = (Weights(tag="k400", source="hf://lab/small"), Weights(tag="ssv2", source="hf://lab/small-ssv2"))
    seeing = Model("seeing", "lab_parts:small", clip=ClipSpec(frames=8, size=224, resize=256))
    large = Model("large", "lab_parts:small", fixed={"width": 64})
    return [Model("small", "lab_parts:small", weights=weights), large, seeing]

@hookimpl
def zoo_tasks():
    painting = Task("painting", "lab_parts:painting", roles=("pixels",))
    return [Task("sorting", "lab_parts:sorting", roles=("main", "extra")), painting]

@hookimpl
def zoo_losses():
    return [Loss("absolute", "lab_parts:absolute"), Loss("squared", "lab_parts:squared")]

@hookimpl
def zoo_augmentations():
    return [Augmentation("flip", "lab_parts:flip"), Augmentation("crop", "lab_parts:crop")]

@hookimpl
def zoo_sources():
    return [Source("films", "lab_parts:films")]

@hookimpl
def zoo_compressions():
    return [Compression("shrink", "lab_parts:shrink", restore="lab_parts:restore")]

@hookimpl
def zoo_recipes():
    return [Recipe("starter", "lab_plugin_data:starter.yaml")]

@hookimpl
def zoo_fetchers():
    return [Fetcher("shelf", "lab_parts:shelf"), Fetcher("file", "lab_parts:shelf")]
"""

PARTS = """
import os
from pathlib import Path
from typing import Annotated
from zoo_registry import Loss, Model, Provided, Range, Ref
from zoo_registry.protocols import Fetched

def small(*, num_classes: Provided[int] = 2, width: Annotated[int, Range(ge=8, le=256)] = 16,
          dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0):
    return ("small", num_classes, width, dropout)

def sorting(*, top: int = 5, teacher: Ref[Model] | None = None): ...
def painting(): ...
def absolute(*, scale: float = 1.0): ...
def squared(): ...
def flip(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5): ...
def crop(*, size: tuple[int, int], scale: tuple[float, float] = (0.5, 1.0)): ...
def films(*, path: Path, tags: list[str] = []): ...
def shrink(model, context, *, amount: Annotated[float, Range(ge=0, le=1)] = 0.5): ...
def shelf():
    return lambda uri, files=None: Fetched(Path(os.environ["LAB_SHELF"]) / uri.removeprefix("shelf://"), uri + "@1")
"""

STARTER = """\
zoo: 1
task: sorting
model: small
data: {train: {name: films, params: {path: films}}}
loss: absolute
optim: {name: adamw, params: {lr: 5e-4}, schedule: cosine}
"""


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "lab_plugin.py").write_text(PLUGIN)
    (folder / "lab_parts.py").write_text(PARTS)
    (folder / "lab_plugin_data").mkdir()
    (folder / "lab_plugin_data" / "__init__.py").write_text("")
    (folder / "lab_plugin_data" / "starter.yaml").write_text(STARTER)
    return folder


@pytest.fixture(scope="session")
def index(plugin_folder: Path) -> Iterator[Catalog]:
    """A catalogue of the plugin `lab` and of one that speaks a later API."""
    sys.path.insert(0, str(plugin_folder))
    points = [
        EntryPoint("lab", "lab_plugin", "zoo.plugins.v1"),
        EntryPoint("future", "future_plugin", "zoo.plugins.v2"),
    ]
    yield Catalog(load_plugins(points))
    sys.path.remove(str(plugin_folder))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a file below the current folder, which is one of the test's own, and gives its relative path."""
    monkeypatch.chdir(tmp_path)

    def to(name: str, text: str) -> Path:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(textwrap.dedent(text))
        return Path(name)

    return to
