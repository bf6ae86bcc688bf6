"""The documentation says what is so: its examples run, and its generated parts are what the code says today."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import av
import click
import numpy as np
import pytest

import zoo
import zoo_plugins
import zoo_registry
from zoo.cli import COMMANDS, cli
from zoo.recipe import load_recipe
from zoo.scaffold.plugin import plugin_texts
from zoo_registry.errors import MissingExtra
from zoo_registry.hookspecs import HOOKS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the comment right above it."""

    page: str
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    found = []
    for path in [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]:
        page = path.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(page):
            line = page.count("\n", 0, match.start("text")) + 1
            found.append(Block(path.name, line, match["language"], match["note"] or "", match["text"]))
    return [block for block in found if block.language == language]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three seconds of real H.264 as film.mp4 in the working directory: what the examples predict on."""
    monkeypatch.chdir(tmp_path)
    with av.open("film.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for shift in range(75):
            picture = np.roll(np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1)), shift, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([picture] * 3, -1), format="rgb24")))
        container.mux(stream.encode())
    return tmp_path / "film.mp4"


# ------------------------------------------------------------------------------------------------ what is generated


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_generated_parts_are_up_to_date(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert generator().fill(text) == text, "run: python docs/generate.py"


@pytest.mark.parametrize("hook", HOOKS.values())
def test_every_hook_is_documented(hook: str) -> None:
    assert f"### `{hook}() -> " in (DOCS / "hooks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"## `zoo {command}`" in (DOCS / "cli.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ what is shown


def programs() -> list[Block]:
    """Python that a reader may paste. The architecture page shows signatures; files of the plugin are tested below."""
    shown = [block for block in blocks("python") if block.page != "architecture.md"]
    return [block for block in shown if not block.note.startswith(("not run", "file:")) and not needs_network(block)]


def needs_network(block: Block) -> bool:
    return ".k400" in block.text


@pytest.mark.parametrize("page", sorted({block.page for block in programs()}))
def test_python_examples_run_from_the_top_of_their_page_down(page: str, film: Path) -> None:
    names: dict[str, object] = {"__name__": "example"}
    for block in programs():
        if block.page == page:
            exec(compile(block.text, str(block), "exec"), names)


def recipes() -> list[Block]:
    return [block for block in blocks("yaml") if re.search(r"^zoo: 1$", block.text, re.MULTILINE)]


@pytest.mark.parametrize("block", [block for block in recipes() if "example/" not in block.text], ids=str)
def test_recipes_on_the_pages_load(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(block.text, encoding="utf-8")
    assert load_recipe(path).schema.zoo == 1


def commands() -> list[tuple[str, str]]:
    """Every `zoo ...` line of the shell examples, with where it stands."""
    found = []
    for block in blocks("sh"):
        for number, line in enumerate(block.text.splitlines(), start=block.line):
            words = shlex.split(line, comments=True)
            if words[:1] == ["zoo"]:
                found.append((f"{block.page}:{number}", shlex.join(words[1:])))
    return found


@pytest.mark.parametrize(("place", "line"), commands(), ids=lambda value: value.split()[0])
def test_commands_on_the_pages_parse(place: str, line: str) -> None:
    name, *arguments = shlex.split(line)
    parent = click.Context(cli, info_name="zoo")
    command = cli.get_command(parent, name)
    assert command is not None, place
    command.make_context(name, arguments, parent=parent)  # parses, and calls nothing


def modules() -> list[str]:
    """Every module of the three packages; files that are templates, or start the command, are none."""
    packages = (zoo, zoo_registry, zoo_plugins)
    found = [
        module.name
        for package in packages
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return [name for name in found if not name.endswith("__main__") and ".plugin_files" not in name]


@pytest.mark.parametrize("module", modules())
def test_examples_in_docstrings_are_true(module: str) -> None:
    try:
        shown = importlib.import_module(module)
    except (ModuleNotFoundError, MissingExtra) as error:
        pytest.skip(f"needs an extra: {error}")
    assert doctest.testmod(shown).failed == 0


# ------------------------------------------------------------------------------------------------ the page's plugin


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that plugins.md shows, pip-installed into a folder of its own; the folder with its sources."""
    source = tmp_path_factory.mktemp("plugin")
    for language in ("toml", "python", "yaml"):
        for block in blocks(language):
            if block.note.startswith("file:"):
                path = source / block.note.removeprefix("file:").strip()
                path.parent.mkdir(exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(source / "installed"), str(source)], check=True, timeout=120)
    return source


def in_plugin(plugin: Path, *words: str) -> str:
    """What a Python with the plugin installed prints. No other of the third-party plugins takes part."""
    alone = {"PYTHONPATH": str(plugin / "installed"), "ZOO_PLUGINS": "example", "PYTEST_ADDOPTS": ""}
    environment = {**os.environ, **alone, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=plugin, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_plugin_of_the_page_is_listed_without_a_problem(plugin: Path) -> None:
    program = """
import json, sys
from zoo_registry.catalog import catalog
kinds = ("model", "augmentation", "loss", "compression")
names = [listed.name for kind in kinds for listed in catalog().list(kind, "example/*")]
(record,) = [record for record in catalog().plugins if record.namespace == "example"]
print(json.dumps([names, record.status, record.distribution, list(map(str, record.problems)), "torch" in sys.modules]))
"""
    in_plugin(plugin, "-c", program)  # the first listing may make indexes of families, which imports their libraries
    names, status, distribution, problems, torch_was_imported = json.loads(in_plugin(plugin, "-c", program))
    assert names == ["example/frame_difference", "example/grey", "example/focal", "example/low_rank"]
    assert (status, distribution, problems, torch_was_imported) == ("loaded", "zoo-example", [], False)


def test_the_recipe_of_the_plugin_page_checks_out(plugin: Path) -> None:
    assert "fine" in in_plugin(plugin, "-m", "zoo.cli", "check", "train.yaml")


def test_the_plugin_of_the_page_passes_the_check_as_the_page_says(plugin: Path) -> None:
    (shown,) = [block.text for block in blocks("text") if "example (zoo-example 0.1.0)" in block.text]
    assert in_plugin(plugin, "-m", "zoo.cli", "plugins", "check", "example") == shown


def test_the_tests_of_the_plugin_page_pass(plugin: Path) -> None:
    in_plugin(plugin, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")


def test_the_components_of_the_plugin_page_are_those_of_a_new_plugin(plugin: Path) -> None:
    written = plugin_texts("example")
    for name in ("model", "grey", "focal", "low_rank"):
        path = f"zoo_example/{name}.py"
        assert (plugin / path).read_text(encoding="utf-8") == written[path]


def test_the_components_of_the_plugin_page_do_what_it_says(plugin: Path) -> None:
    """A step of training lowers the loss, and the compressed model comes back from its record with equal outputs."""
    in_plugin(plugin, "-c", _STEP)


_STEP = """
import torch
from zoo_registry.protocols import Batch
from zoo_example import focal, grey, low_rank, model

torch.manual_seed(0)
network = model.frame_difference(num_classes=6, channels=8)
clips = torch.randint(0, 256, (4, 3, 8, 32, 32), dtype=torch.uint8)
batch = Batch({"clip_bcthw": clips}, {}, torch.arange(4), torch.zeros(4, dtype=torch.int64))
changed = grey.grey(p=1.0)(batch, torch.Generator().manual_seed(0)).inputs["clip_bcthw"]
assert changed.dtype == torch.uint8
assert (changed[:, 0] == changed[:, 2]).all()
assert not (clips[:, 0] == clips[:, 2]).all()

logits, labels = torch.randn(5, 6), torch.tensor([0, 1, 2, 3, 4])
cross_entropy = torch.nn.functional.cross_entropy(logits, labels)
assert torch.allclose(focal.focal(gamma=0.0)(logits, labels), cross_entropy)

loss, optimiser = focal.focal(), torch.optim.AdamW(network.parameters(), lr=1e-2)
values = []
for _ in range(10):
    value = loss(network(clips / 255), torch.tensor([0, 1, 2, 3]))
    optimiser.zero_grad(); value.backward(); optimiser.step()
    values.append(value.item())
assert values[-1] < values[0], values

network.eval()
small, record = low_rank.factorise(network, None, rank=2)
assert record == {"rank": 2, "layers": ["head"]}
with torch.device("meta"):
    fresh = low_rank.restore(model.frame_difference(num_classes=6, channels=8), record)
fresh.load_state_dict(small.state_dict(), strict=True, assign=True)
assert torch.equal(fresh.eval()(clips / 255), small(clips / 255))
"""
