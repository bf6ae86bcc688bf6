"""What is made of a loaded recipe: absolute paths, the explanation, the lock, the JSON Schema."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.recipe import (
    differences,
    dump,
    explain,
    json_schema,
    load_recipe,
    lock_facts,
    read_lock,
    resolve_recipe,
    write_lock,
)
from zoo_registry.catalog import Catalog
from zoo_registry.errors import RecipeError

ROOT = Path(__file__).resolve().parents[3]
Write = Callable[[str, str], Path]
MINIMAL = {"zoo": 1, "task": "sorting", "model": "small"}


# --------------------------------------------------------------------------------------- relative paths


def test_paths_are_relative_to_the_file_that_wrote_them(index: Catalog, write: Write, tmp_path: Path) -> None:
    write(
        "far/parent.yaml",
        "zoo: 1\ntask: sorting\nmodel: small\ndata: {train: {name: films, params: {path: a, tags: [a]}}, val: films}\n",
    )
    write("child.yaml", "extends: far/parent.yaml\ndata: {val: {params: {path: ./b/../c}}}\n")
    data = resolve_recipe(
        load_recipe("child.yaml", ["data.test={name: films, params: {path: d}}"], index=index), index=index
    ).data
    assert data["data"]["train"]["params"] == {"path": str(tmp_path / "far" / "a"), "tags": ["a"]}
    assert data["data"]["val"]["params"] == {"path": str(tmp_path / "c")}
    assert data["data"]["test"]["params"] == {"path": str(tmp_path / "d")}


def test_a_resolved_recipe_means_the_same_in_another_folder(
    index: Catalog, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("r.yaml", "extends: starter\nmodel: {weights: 'file:w'}\npublish: {repo: 'file:out'}\n")
    resolved = resolve_recipe(load_recipe("r.yaml", index=index), index=index)
    assert resolved.data["model"]["weights"] == f"file:{tmp_path / 'w'}"
    assert resolved.data["publish"]["repo"] == f"file:{tmp_path / 'out'}"
    write("elsewhere/recipe.resolved.yaml", dump(resolved.data))
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = resolve_recipe(load_recipe("recipe.resolved.yaml", index=index), index=index)
    assert again.data == resolved.data


def test_a_tilde_before_nobody_s_name_is_part_of_the_path(index: Catalog, write: Write, tmp_path: Path) -> None:
    write("r.yaml", "extends: starter\ndata: {train: {params: {path: ~nobody_of_this_name/x}}}\n")
    data = resolve_recipe(load_recipe("r.yaml", index=index), index=index).data
    assert data["data"]["train"]["params"]["path"] == str(tmp_path / "~nobody_of_this_name" / "x")


def test_components_inside_parameters_are_qualified_too(index: Catalog) -> None:
    recipe = MINIMAL | {"task": {"name": "sorting", "params": {"teacher": "small.k400"}}}
    resolved = resolve_recipe(load_recipe(recipe, index=index), index=index)
    assert resolved.data["task"]["params"] == {"teacher": {"name": "lab/small", "params": {}, "weights": "k400"}}
    assert resolve_recipe(load_recipe(resolved.data, index=index), index=index).data == resolved.data


def test_a_tilde_is_the_home_folder(index: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere/me")
    recipe = MINIMAL | {"data": {"val": {"name": "films", "params": {"path": "~/films"}}}}
    assert (
        resolve_recipe(load_recipe(recipe, index=index), index=index).data["data"]["val"]["params"]["path"]
        == "/somewhere/me/films"
    )


def test_a_recipe_with_a_wrong_parameter_cannot_be_resolved(index: Catalog) -> None:
    loaded = load_recipe(MINIMAL | {"augment": [{"name": "flip", "params": {"p": 2}}]}, index=index)
    with pytest.raises(RecipeError, match=r"augment\.0\.params\.p: expected a number from 0 to 1, found 2"):
        resolve_recipe(loaded, index=index)


# --------------------------------------------------------------------------------------- explain


def test_explain_shows_where_every_value_comes_from(index: Catalog, write: Write) -> None:
    write("mine.yaml", "extends: starter\nrun: {seed: null}\nmodel:\n  params: {width: 32}\n")
    text = explain(load_recipe("mine.yaml", ["run.epochs=1"], index=index))
    shown = {line.partition("#")[0].strip(): line.partition("# ")[2] for line in text.splitlines()}
    assert shown["name: lab/small"] == "starter.yaml:3:8"
    assert shown["width: 32"] == "mine.yaml:4:19"
    assert shown["epochs: 1"] == "--set run.epochs=1"
    assert shown["batch: 8"] == "default"
    assert shown["seed: 0"] == "default, by null at mine.yaml:2:13"


def test_what_explain_prints_is_the_resolved_recipe(index: Catalog) -> None:
    recipe = load_recipe("starter", index=index)
    assert yaml.safe_load(explain(recipe)) == recipe.data


# --------------------------------------------------------------------------------------- lock


def test_a_lock_holds_versions_and_what_the_run_knows(index: Catalog, tmp_path: Path) -> None:
    recipe = load_recipe("starter", index=index)
    path = tmp_path / "zoo.lock"
    write_lock(path, recipe, index=index, threads=2, weights={"hf://lab/small": "ab12"}, data={"train": "00e1"})
    lock = read_lock(path)
    assert lock == lock_facts(
        recipe, index=index, threads=2, weights={"hf://lab/small": "ab12"}, data={"train": "00e1"}
    )
    assert list(lock["plugins"]) == ["lab"]
    assert {"videozoo", "torch", "av"} <= set(lock["packages"])
    assert [each.name for each in tmp_path.iterdir()] == ["zoo.lock"]


def test_differences_to_a_lock_are_named() -> None:
    lock = {"packages": {"torch": "2.11.0", "av": "18.0"}, "threads": 2, "weights": {"hf://a": "ab"}}
    now = {"packages": {"torch": "2.15.0", "av": "18.0"}, "threads": 2, "data": {"train": "00"}}
    assert differences(lock, now) == [
        "packages.torch was 2.11.0, is 2.15.0",
        "weights.hf://a was ab, is absent",
        "data.train was absent, is 00",
    ]
    assert differences(lock, lock) == []


def test_a_file_that_is_no_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zoo.lock").write_text("lock: 99\n")
    with pytest.raises(RecipeError, match="no lock of format 1"):
        read_lock(tmp_path / "zoo.lock")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_lock(tmp_path / "absent.lock")


# --------------------------------------------------------------------------------------- JSON Schema


def test_the_committed_json_schema_is_the_generated_one() -> None:
    committed = json.loads((ROOT / "docs" / "recipe.schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), "run: zoo schema > docs/recipe.schema.json"


def test_every_slot_is_described() -> None:
    schema = json_schema()
    slots = {
        **schema["properties"],
        **{f"{name}.{key}": slot for name, each in schema["$defs"].items() for key, slot in each["properties"].items()},
    }
    assert [name for name, slot in slots.items() if not (slot.get("description") or _refers(slot))] == []


def _refers(slot: dict[str, Any]) -> bool:
    """Whether a slot is another one, whose own description is shown."""
    return any("$ref" in branch for branch in slot.get("anyOf", ()))


@pytest.mark.parametrize(
    "recipe",
    [
        "{zoo: 1, task: a, model: b}",
        "{zoo: 1, task: a, model: b.k400, loss: c, augment: d, optim: adamw, compress: [e, {name: f}], export: g}",
        "{zoo: 1, task: {name: a}, model: {name: b, params: {x: [1]}}, loss: {x: c, y: [c, {name: d, weight: 2}]}}",
        "{extends: a, model: {params: {x: 1}}, augment: null, run: {epochs: null}, optim: {schedule: step}}",
        "{extends: a, optim: {per_objective: {critic: sgd}}}",
    ],
)
def test_the_json_schema_admits_what_people_write(recipe: str) -> None:
    _validator().validate(yaml.safe_load(recipe))


@pytest.mark.parametrize(
    "recipe",
    ["{zoo: 2, task: a, model: b}", "{zoo: 1, task: a}", "{extends: a, epochs: 3}", "{extends: a, run: {batch: 0}}"],
)
def test_the_json_schema_refuses_what_is_wrong(recipe: str) -> None:
    assert not _validator().is_valid(yaml.safe_load(recipe))


def _validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="checks the schema with the library jsonschema, absent here")
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def test_a_lock_cannot_print_lines_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "zoo.lock").write_text('lock: 1\npackages: {"torch was 1\\nerror: run this": "2"}\n')
    with pytest.raises(RecipeError, match="holds control characters"):
        read_lock(tmp_path / "zoo.lock")
