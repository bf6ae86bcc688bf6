"""Loading a recipe: short forms, `extends`, `--set`, and what becomes of each."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from zoo.optim.schedule import Schedule, Smooth
from zoo.recipe import LoadedRecipe, dump, explain, load_recipe
from zoo.recipe.optimizers import TORCH
from zoo.recipe.slots import OPTIMIZERS, SCHEDULES
from zoo_registry.catalog import Catalog
from zoo_registry.errors import RecipeError

Write = Callable[[str, str], Path]
Load = Callable[..., LoadedRecipe]
MINIMAL = {"zoo": 1, "task": "sorting", "model": "small"}


@pytest.fixture
def load(index: Catalog) -> Load:
    return lambda reference, *overrides: load_recipe(reference, overrides, index=index)


def test_a_recipe_by_name_is_found_in_its_plugin(load: Load) -> None:
    recipe = load("starter")
    assert recipe.name == "starter"
    assert recipe.schema.model.name == "lab/small"
    assert recipe.schema.optim is not None
    assert recipe.schema.optim.params == {"lr": 0.0005}
    assert str(recipe.origins["model", "name"]) == "starter.yaml:3:8"


def test_a_recipe_is_loaded_from_a_path_a_folder_and_a_mapping_alike(load: Load, write: Write) -> None:
    write("run/recipe.resolved.yaml", dump(MINIMAL))
    assert (
        load("run/recipe.resolved.yaml").data == load(Path("run")).data == load("file:run").data == load(MINIMAL).data
    )


def test_short_forms_are_written_out(load: Load) -> None:
    data = load(MINIMAL | {"model": "small.k400", "augment": "flip", "loss": ["absolute", {"name": "squared"}]}).data
    assert data["model"] == {"name": "lab/small", "params": {}, "weights": "k400"}
    assert data["augment"] == [{"name": "lab/flip", "params": {}, "where": "device"}]
    losses = [{"name": f"lab/{name}", "params": {}, "weight": 1.0} for name in ("absolute", "squared")]
    assert data["loss"] == {"main": losses}


@pytest.mark.parametrize(
    "loss", ["absolute", ["absolute"], {"name": "absolute"}, {"main": "absolute"}, {"main": ["absolute"]}]
)
def test_a_loss_without_a_role_fills_the_first_of_its_task(load: Load, loss: Any) -> None:
    assert (
        load(MINIMAL | {"loss": loss}).data["loss"]
        == load(MINIMAL | {"loss": {"main": [{"name": "absolute"}]}}).data["loss"]
    )


def test_the_role_is_that_of_the_task_that_holds_in_the_end(load: Load, write: Write) -> None:
    write("parent.yaml", "zoo: 1\ntask: sorting\nmodel: small\nloss: absolute\n")
    write("child.yaml", "extends: parent.yaml\ntask: painting\n")
    assert list(load("child.yaml").data["loss"]) == ["pixels"]
    assert list(load("parent.yaml", "task=painting").data["loss"]) == ["pixels"]


def test_a_resolved_recipe_reloads_to_an_equal_one(load: Load, write: Write) -> None:
    recipe = load("starter", "model.params.dropout=1e-5", "run.clip_grad_norm=.inf", "augment=[flip]")
    write("again.yaml", dump(recipe.data))
    again = load("again.yaml")
    assert again.schema == recipe.schema
    assert again.data == recipe.data
    assert again.schema.run.clip_grad_norm == math.inf


# --------------------------------------------------------------------------------------- extends


def test_mappings_merge_and_lists_replace(load: Load, write: Write) -> None:
    write(
        "parent.yaml",
        "zoo: 1\ntask: sorting\nmodel: {name: small, params: {width: 32}}\naugment: [flip, flip]\n"
        "run: {epochs: 3, batch: 4}\n",
    )
    write("child.yaml", "extends: parent.yaml\nmodel: {params: {dropout: 0.1}}\naugment: [flip]\nrun: {epochs: 5}\n")
    recipe = load("child.yaml").schema
    assert recipe.model.params == {"width": 32, "dropout": 0.1}
    assert len(recipe.augment) == 1
    assert (recipe.run.epochs, recipe.run.batch) == (5, 4)


def test_null_goes_back_to_the_default(load: Load, write: Write) -> None:
    write(
        "parent.yaml",
        "zoo: 1\ntask: sorting\nmodel: {name: small, weights: k400, params: {width: 32}}\nrun: {epochs: 3}\n",
    )
    write("child.yaml", "extends: parent.yaml\nmodel: {weights: null, params: {width: null}}\nrun: {epochs: null}\n")
    recipe = load("child.yaml").schema
    assert (recipe.model.weights, recipe.model.params) == (None, {})
    assert recipe.run.epochs == load(MINIMAL).schema.run.epochs


def test_another_name_drops_what_was_inherited_beside_it(load: Load, write: Write) -> None:
    write(
        "parent.yaml",
        "zoo: 1\ntask: sorting\n"
        "model: {name: small, weights: k400, params: {width: 32}, freeze: {until: stage2}}\n"
        "optim: {name: adamw, layer_decay: 0.75, decay_norms_and_biases: false}\n",
    )
    write("child.yaml", "extends: parent.yaml\nmodel: {name: large, params: {dropout: 0.1}}\noptim: sgd\n")
    recipe = load("child.yaml", "run.epochs=0").schema
    model = recipe.model
    assert (model.name, model.weights, model.params, model.freeze) == ("lab/large", None, {"dropout": 0.1}, None)
    assert (recipe.optim.layer_decay, recipe.optim.decay_norms_and_biases) == (None, True)


def test_what_is_frozen_is_inherited_changed_and_set_back(load: Load, write: Write) -> None:
    write("parent.yaml", "zoo: 1\ntask: sorting\nmodel: {name: small, freeze: {until: stage2}}\n")
    write("child.yaml", "extends: parent.yaml\nmodel: {name: lab/small, params: {width: 32}}\n")
    assert load("child.yaml").schema.model.freeze.until == "stage2"
    assert load("child.yaml", "model.freeze.until=stem").schema.model.freeze.until == "stem"
    assert load("child.yaml", "model.freeze=null").schema.model.freeze is None
    changed = load("child.yaml", "model.freeze.until=stem")
    assert "    until: stem" in explain(changed)
    assert str(changed.origins["model", "freeze", "until"]) == "--set model.freeze.until=stem"


def test_the_same_name_written_in_full_drops_nothing(load: Load, write: Write) -> None:
    write("parent.yaml", "zoo: 1\ntask: sorting\nmodel: {name: small, params: {width: 32}}\n")
    write("child.yaml", "extends: parent.yaml\nmodel: lab/small\n")
    assert load("child.yaml").schema.model.params == {"width": 32}


def test_chains_are_followed_from_each_file_s_own_folder(load: Load, write: Write) -> None:
    write("far/grand.yaml", "extends: starter\nrun: {epochs: 7}\n")
    write("far/near/parent.yaml", "extends: ../grand.yaml\n")
    write("child.yaml", "extends: far/near/parent.yaml\n")
    recipe = load("child.yaml")
    assert recipe.schema.run.epochs == 7
    assert str(recipe.origins["run", "epochs"]) == "far/grand.yaml:2:15"


def test_a_component_that_the_child_replaces_need_not_be_installed(load: Load, write: Write) -> None:
    write("parent.yaml", "zoo: 1\ntask: sorting\nmodel: absent_plugin/huge\n")
    write("child.yaml", "extends: parent.yaml\nmodel: small\n")
    assert load("child.yaml").schema.model.name == "lab/small"


def test_a_recipe_is_fetched_by_its_scheme(
    load: Load, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAB_SHELF", str(tmp_path))
    write("one/recipe.resolved.yaml", dump(MINIMAL | {"run": {"epochs": 9}}))
    write("child.yaml", "extends: shelf://one\n")
    assert load("shelf://one").schema.run.epochs == 9
    assert load("child.yaml").schema.run.epochs == 9
    assert load("child.yaml").fetched
    assert not load("starter").fetched


def test_a_fetched_recipe_cannot_read_files_of_this_machine(
    load: Load, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAB_SHELF", str(tmp_path))
    secret = write("secret.yaml", "password: hunter2\n").resolve()
    write("one/recipe.resolved.yaml", f"zoo: 1\nextends: {secret}\n")
    with pytest.raises(RecipeError, match="a fetched recipe cannot extend") as caught:
        load("shelf://one")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("child", "foreign"),
    [
        ("extends: shelf://one\n", True),
        ("extends: shelf://one\npublish: {tag: v1}\n", True),
        ("extends: shelf://one\npublish: {repo: me/mine}\n", False),
        ("extends: shelf://one\npublish: null\n", False),
    ],
)
def test_who_wrote_the_repository_says_whether_publishing_is_foreign(
    load: Load, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: str, foreign: bool
) -> None:
    monkeypatch.setenv("LAB_SHELF", str(tmp_path))
    write("one/recipe.resolved.yaml", dump(MINIMAL | {"publish": {"repo": "them/theirs"}}))
    write("child.yaml", child)
    assert load("child.yaml").publish_is_foreign is foreign
    assert not load("shelf://one", "publish.repo=me/mine").publish_is_foreign


# --------------------------------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("override", "way", "value"),
    [
        ("run.epochs=3", ("run", "epochs"), 3),
        ("optim.params.lr=5e-4", ("optim", "params", "lr"), 0.0005),
        ("optim.schedule=step", ("optim", "schedule", "name"), "step"),
        ("model=large", ("model", "name"), "lab/large"),
        ("model.name=large", ("model", "name"), "lab/large"),
        ("augment.1.params.p=0.3", ("augment", 1, "params", "p"), 0.3),
        ("augment=flip", ("augment", 0, "name"), "lab/flip"),
        ("loss.params.scale=2", ("loss", "main", 0, "params", "scale"), 2),
        ("loss.0.weight=2", ("loss", "main", 0, "weight"), 2.0),
        ("loss=squared", ("loss", "main", 0, "name"), "lab/squared"),
        ("data.val={name: films, params: {path: x}}", ("data", "val", "params", "path"), "x"),
        ("run.device=cuda:1", ("run", "device"), "cuda:1"),
        ("publish.repo=me/model", ("publish", "repo"), "me/model"),
    ],
)
def test_set_changes_one_value_and_is_its_origin(
    load: Load, write: Write, override: str, way: tuple[str | int, ...], value: Any
) -> None:
    write("r.yaml", "extends: starter\naugment: [flip, flip]\n")
    recipe = load("r.yaml", override)
    found: Any = recipe.data
    for step in way:
        found = found[step]
    assert found == value
    assert str(recipe.origins[way]) == f"--set {override}"


def test_the_last_set_wins(load: Load) -> None:
    assert load("starter", "run.epochs=1", "run.epochs=2").schema.run.epochs == 2


def test_set_can_empty_a_list_and_go_back_to_a_default(load: Load) -> None:
    recipe = load(MINIMAL | {"augment": ["flip"], "run": {"epochs": 3}}, "augment=[]", "run.epochs=null").schema
    assert (recipe.augment, recipe.run.epochs) == ([], 10)


# --------------------------------------------------------------------------------------- what it costs


def test_loading_imports_no_torch(tmp_path: Path) -> None:
    code = "import sys, zoo.recipe; zoo.recipe.json_schema(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_checking_an_optimiser_again_imports_no_torch(tmp_path: Path) -> None:
    code = """
import sys
from zoo.recipe.optim import optimizer_faults, schedule_faults
from zoo_registry.catalog import catalog
found = [optimizer_faults("adamw", {"lrr": 1}, ("optim", "params"), catalog()),
         schedule_faults("cosine", {"finl": 1}, ("optim", "schedule", "params"), catalog())]
print([fault.hint for (fault,) in found], "torch" in sys.modules)
"""
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "ZOO_CACHE": str(tmp_path)},
        )
        said.append(done.stdout.strip())
    hints = """["did you mean 'lr'?", "did you mean 'final'?"]"""
    assert said == [f"{hints} True", f"{hints} False"]


def test_the_names_a_recipe_may_write_are_those_that_the_runner_has() -> None:
    by_torch = [resolve_name(string) for string in TORCH.values()]
    assert [optimizer.__name__.lower() for optimizer in by_torch] == list(TORCH)
    assert {*TORCH, "muon", "lamb", "lion", "adan"} <= {*OPTIMIZERS}
    assert {resolve_name(string) for string in SCHEDULES.values()} == {
        *Schedule.__subclasses__(),
        *Smooth.__subclasses__(),
    } - {Smooth}


def test_another_name_does_not_drop_what_was_set_for_it_before() -> None:
    """The order of two `--set` does not matter when one names a component and the other its parameter."""
    overrides = ["optim.params.lr=0.25", "optim.name=sgd"]
    for order in (overrides, overrides[::-1]):
        optim = load_recipe("quickstart", order).schema.optim
        assert optim is not None
        assert (optim.name, optim.params) == ("sgd", {"lr": 0.25})


def test_a_seed_that_torch_cannot_take_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"run\.seed"):
        load_recipe("quickstart", [f"run.seed={2**63}"])


@pytest.mark.parametrize("overrides", [[], ["data.decoder=torchcodec"]])
def test_a_decoder_may_be_named_alone(index: Catalog, write: Write, overrides: list[str]) -> None:
    write("r.yaml", "zoo: 1\ntask: sorting\nmodel: small\ndata: {decoder: torchcodec}\n")
    decoder = load_recipe("r.yaml", overrides, index=index).schema.data.decoder
    assert (decoder.name, decoder.time_limit) == ("torchcodec", 120.0)


def test_a_decoder_that_nobody_knows_has_its_place(index: Catalog, write: Write) -> None:
    write("r.yaml", "zoo: 1\ntask: sorting\nmodel: small\ndata: {decoder: decord}\n")
    with pytest.raises(RecipeError, match=r"r.yaml:4:17: data.decoder.name: expected one of 'pyav', 'torchcodec'"):
        load_recipe("r.yaml", index=index)
