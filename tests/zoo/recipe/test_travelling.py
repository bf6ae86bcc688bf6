"""Recipes that travel: copied, compared, and held against the lock beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.recipe import ABSENT, check_recipe, compared, copy_recipe, load_recipe, lock_of, write_lock
from zoo_registry.errors import RecipeError


def test_every_value_that_differs_is_named() -> None:
    one = {"run": {"epochs": 3, "batch": 8}, "export": [{"name": "onnx"}], "loss": {"loss": {"weight": 1.0}}}
    other = {
        "run": {"epochs": 5, "batch": 8},
        "export": [],
        "loss": {"loss": {"weight": 1.0}},
        "optim": {"name": "sgd"},
    }
    assert [(each.name, each.one, each.other) for each in compared(one, other)] == [
        ("run.epochs", 3, 5),
        ("export", [{"name": "onnx"}], []),
        ("optim.name", ABSENT, "sgd"),
    ]
    assert compared(one, one) == []
    assert [each.name for each in compared([{"p": 0.1}, 2], [{"p": 0.2}, 2])] == ["0.p"]


def test_a_copy_means_what_its_original_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = copy_recipe("quickstart")
    assert path == Path("quickstart.yaml")
    first, second, *_ = path.read_text().splitlines()
    assert first == "# Copied from recipes/quickstart"
    assert second.startswith("#")  # comments come along
    assert compared(load_recipe("quickstart").data, load_recipe("./quickstart.yaml").data) == []


def test_a_copy_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("mine")
    with pytest.raises(RecipeError, match="is there already"):
        copy_recipe("quickstart", tmp_path)
    assert (tmp_path / "quickstart.yaml").read_text() == "mine"
    with pytest.raises(RecipeError, match="cannot be written"):
        copy_recipe("quickstart", tmp_path / "nowhere" / "mine.yaml")


def test_the_lock_lies_beside_the_recipe(tmp_path: Path) -> None:
    recipe = copy_recipe("quickstart", tmp_path / "recipe.resolved.yaml")
    write_lock(tmp_path / "zoo.lock", load_recipe(recipe), threads=3)
    for reference in (recipe, tmp_path, f"file:{tmp_path}"):
        assert lock_of(reference)["threads"] == 3
    with pytest.raises(RecipeError, match="has no lock"):
        lock_of("quickstart")
    with pytest.raises(RecipeError, match="cannot be read"):
        lock_of(tmp_path / "elsewhere" / "a.yaml")


def test_a_run_is_named_by_its_folder_but_not_in_what_another_recipe_extends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    copy_recipe("quickstart", "runs/mine/recipe.resolved.yaml")
    assert load_recipe("runs/mine").name == "mine"
    (tmp_path / "a.yaml").write_text("zoo: 1\nextends: runs/mine\n")
    with pytest.raises(RecipeError, match="no plugin has the namespace 'runs'"):
        load_recipe("a.yaml")


def test_where_nothing_can_be_published_is_said_by_checking(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("zoo: 1\nextends: quickstart\npublish: {repo: waves, licence: apche-2.0}\n")
    first, second = check_recipe(load_recipe(path))
    assert "'waves' names no repository" in first.message
    assert second.hint is not None
    assert second.hint.startswith("did you mean apache-2.0")
    assert str(second.where).endswith("a.yaml:3:33")
    path.write_text("zoo: 1\nextends: quickstart\npublish: {repo: me/waves, licence: mit, tag: v1.0}\n")
    assert check_recipe(load_recipe(path)) == []
