"""What docs/sources.md shows is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.plugins.sources.listing import touch
from zoo.recipe import check_recipe, load_recipe
from zoo_plugins.sources.manifest import COLUMNS, manifest
from zoo_registry.catalog import catalog

PAGE = (Path(__file__).parents[3] / "docs" / "sources.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_recipes_name_sources_and_parameters_that_exist(block: str) -> None:
    recipe = {
        "zoo": 1,
        "task": "classification",
        "model": "basic/cnn3d",
        "loss": "cross_entropy",
        "optim": {"name": "adamw"},
        **yaml.safe_load(block),
    }
    assert check_recipe(load_recipe(recipe)) == []


def test_the_list_on_the_page_can_be_read(tmp_path: Path) -> None:
    (block,) = blocks("csv")
    touch(tmp_path / "cooking" / "0001.mp4", tmp_path / "cooking" / "0002.mp4")
    (tmp_path / "labels.csv").write_text(block)
    train = manifest(path=tmp_path / "labels.csv", split="train")
    assert [sample.targets["label_b"] for sample in train.samples] == ["stir", "pour"]
    assert len(manifest(path=tmp_path / "labels.csv", split="val").samples) == 1


def test_python_on_the_page_runs() -> None:
    for block in blocks("python"):
        exec(compile(block, "docs/sources.md", "exec"), {})


def test_every_column_and_every_source_is_on_the_page() -> None:
    assert [name for name in COLUMNS if f"`{name}`" not in PAGE] == []
    own = [each.entry.name for each in catalog().list("source") if each.plugin.is_own]
    assert [name for name in own if f"`{name}`" not in PAGE] == []
