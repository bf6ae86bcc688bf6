"""Finds everything wrong with a merged recipe that can be known without importing a builder: slots, names, weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from zoo.build.references import weights_faults
from zoo.build.values import At, Fault, faults
from zoo.recipe.node import Node, without_nulls
from zoo.recipe.optim import name_faults
from zoo.recipe.schema import RecipeSchema, RunSlot
from zoo.recipe.slots import component_kind
from zoo_registry.entries import Model
from zoo_registry.errors import Location, Problem, ZooError
from zoo_registry.names import nearest

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog


def slot_problems(recipe: Node, *, whole: bool = True) -> list[Problem]:
    """Unknown keys, missing slots, wrong types and numbers out of range.

    Args:
        recipe: in the long form.
        whole: nothing that it extends was unreadable; otherwise what is missing may stand there.
    """
    schema = _long_form()
    written = faults(recipe.plain(), schema, (), schema["$defs"])
    set_back = [fault for fault in written if fault.key and recipe.nearest(fault.at).value is None]
    standing = faults(without_nulls(recipe).plain(), schema, (), schema["$defs"])
    found = [*set_back, *(fault for fault in standing if whole or recipe.find(fault.at) is not None)]
    return [as_problem(_with_namesake(fault), recipe) for fault in found]


@cache
def _long_form() -> dict[str, Any]:
    """JSON Schema of recipes in which every short form is written out."""
    return RecipeSchema.model_json_schema(mode="serialization")


def _with_namesake(fault: Fault) -> Fault:
    """For an unknown key with no near one beside it: the near ones elsewhere, `run.epochs` for `epoch`."""
    if not fault.key or (fault.hint or "").startswith("did you mean"):
        return fault
    slots = _slots()
    near = nearest(str(fault.at[-1]), slots, limit=1)
    return replace(fault, hint=f"did you mean {slots[near[0]]}?") if near else fault


@cache
def _slots() -> dict[str, str]:
    """The dotted way to every slot, by the last key of it."""
    schema = _long_form()
    found: dict[str, str] = {}

    def visit(slot: Mapping[str, Any], way: tuple[str, ...]) -> None:
        for name, inner in slot.get("properties", {}).items():
            found.setdefault(name, ".".join((*way, name)))
            for branch in inner.get("anyOf", [inner]):
                if "$ref" in branch:
                    visit(schema["$defs"][branch["$ref"].rpartition("/")[2]], (*way, name))

    visit(schema, ())
    return found


def as_problem(fault: Fault, recipe: Node) -> Problem:
    """A fault with its place."""
    return Problem(fault.message, place(recipe, fault.at, fault.key), fault.hint)


def place(recipe: Node, at: At, key: bool = False) -> Location:
    """Where a value or its key was written; for one that is not there, what should hold it."""
    node = recipe.nearest(at)
    return node.key if key and node.key is not None else node.where


def qualify(recipe: Node, index: Catalog) -> tuple[Node, list[Problem]]:
    """The recipe with fully qualified names, and the problems of those that mean nothing, weights included."""
    problems: list[Problem] = []
    qualified: dict[At, str] = {}
    for at, node in recipe.walk():
        name, kind = node.mapping.get("name"), component_kind(at)
        if name is None or not isinstance(name.value, str):
            continue
        if kind is None:
            problems += [as_problem(fault, recipe) for fault in name_faults(name.value, at)]
            continue
        try:
            listed = index.resolve(kind, name.value, where=name.where)
        except ZooError as error:
            problems += error.problems
            continue
        qualified[*at, "name"] = listed.name
        if kind == Model.kind:
            weights = weights_faults(listed, node.text("weights"), (*at, "weights"), index)
            problems += [as_problem(fault, recipe) for fault in weights]
    return _renamed(recipe, qualified), problems


def _renamed(node: Node, names: dict[At, str], at: At = ()) -> Node:
    if at in names:
        return node.like(names[at])
    if isinstance(node.value, dict):
        return node.like({key: _renamed(item, names, (*at, key)) for key, item in node.value.items()})
    if isinstance(node.value, list):
        return node.like([_renamed(item, names, (*at, index)) for index, item in enumerate(node.value)])
    return node


def role_problems(recipe: Node, index: Catalog) -> list[Problem]:
    """Losses for a role that the task does not have."""
    losses, name = recipe.child("loss"), recipe.find(("task", "name"))
    if losses is None or name is None:
        return []
    try:
        task = index.resolve("task", str(name.value))
    except ZooError:
        return []  # said already
    roles: tuple[str, ...] = getattr(task.entry, "roles", ())
    problems = []
    for role, node in losses.mapping.items():
        if role not in roles:
            near = nearest(role, roles, limit=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its roles are {', '.join(roles) or 'none'}"
            problems.append(Problem(f"task {task.name} has no loss role {role!r}", node.key or node.where, hint))
    return problems


def training_problems(recipe: Node) -> list[Problem]:
    """What a training lacks: something to train on, or to watch for an early stop.

    Data without an optimiser is fine: it is evaluated.
    """
    optim, epochs = recipe.child("optim"), recipe.find(("run", "epochs"))
    if optim is None or (epochs.value if epochs is not None else RunSlot().epochs) == 0:
        return []
    problems = []
    if recipe.find(("data", "train")) is None:
        hint = "fill data.train, or remove optim to evaluate only"
        problems.append(Problem("there is an optimiser but nothing to train on", optim.key or optim.where, hint))
    stop = recipe.find(("run", "early_stop"))
    if stop is not None and recipe.find(("data", "val")) is None:
        hint = "fill data.val, or remove run.early_stop"
        problems.append(Problem("an early stop watches data.val, and there is none", stop.key or stop.where, hint))
    return problems
