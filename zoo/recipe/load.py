"""Loads a recipe: reads it and what it extends, merges, applies `--set`, checks slots and names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from zoo.recipe.check import parameter_problems
from zoo.recipe.documents import Document, open_document
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.merge import merge
from zoo.recipe.node import Node, without_nulls
from zoo.recipe.overrides import Override, apply_override, parse_override
from zoo.recipe.schema import RecipeSchema
from zoo.recipe.shorthand import expand
from zoo.recipe.validate import place, qualify, role_problems, slot_problems, training_problems
from zoo_registry.catalog import Catalog, catalog
from zoo_registry.entries import Task
from zoo_registry.errors import Location, Problem, RecipeError, ZooError

_ANY_ROLE = "loss"  # where the task is unknown, which is an error of its own


def load_recipe(
    reference: str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    index: Catalog | None = None,
) -> LoadedRecipe:
    """Load a recipe.

    Args:
        reference: a name (`quickstart`), a path, a run's folder, `hf://org/repo@sha` or `file:folder`, or plain data.
        overrides: `"run.epochs=3"` and the like, in order.
        index: where names are looked up; the process's catalogue by default.

    Returns:
        The recipe, validated, with fully qualified names and the place of every value.

    Raises:
        RecipeError: everything that is wrong with it: slots, types, names, weights, overrides, each with its place.

    Example:
        >>> recipe = load_recipe("quickstart", ["run.epochs=1"])
        >>> recipe.schema.run.epochs, str(recipe.origins["run", "epochs"])
        (1, '--set run.epochs=1')
    """
    index = index or catalog()
    problems: list[Problem] = []
    documents = _chain(reference, index, problems)
    whole = not problems
    parsed = _parsed(overrides, problems)
    if not documents:
        raise RecipeError(problems)
    merged, unknown = qualify(_merged(documents, parsed, index, problems), index)
    standing = without_nulls(merged)
    problems += [
        *slot_problems(merged, whole=whole),
        *unknown,
        *role_problems(standing, index),
        *training_problems(standing),
    ]
    if problems:
        problems += _parameter_problems(merged, standing, index)
        raise RecipeError(sorted(dict.fromkeys(problems), key=_in_file_order))
    return _loaded(documents, merged)


def _parameter_problems(merged: Node, standing: Node, index: Catalog) -> list[Problem]:
    """What `check_recipe` would find next, for all to be said at once."""
    nulls = [at for at, node in merged.walk() if node.value is None]
    return parameter_problems(standing.plain(), nulls, partial(place, merged), index)


def _in_file_order(problem: Problem) -> tuple[bool, Location]:
    where = problem.where or Location("")
    return where.file.startswith("--set"), where


def _chain(
    reference: str | os.PathLike[str] | Mapping[str, Any], index: Catalog, problems: list[Problem]
) -> list[Document]:
    """The recipe, what it extends, what that extends, and so on."""
    documents: list[Document] = []
    where = None
    while True:
        try:
            origin = documents[-1] if documents else None
            document = open_document(reference, index, origin=origin, where=where)
        except ZooError as error:
            problems += error.problems
            return documents
        known = [each.identity for each in documents]
        if document.identity and document.identity in known:
            circle = [each.shown for each in documents[known.index(document.identity) :]]
            hint = " -> ".join([*circle, document.shown])
            problems.append(Problem("the recipe extends itself", where, hint))
            return documents
        documents.append(document)
        extends = document.node.child("extends")
        if extends is None or not isinstance(extends.value, str):
            return documents  # a value that is no text is an error of its slot
        reference, where = extends.value, extends.where


def _parsed(overrides: Sequence[str], problems: list[Problem]) -> list[Override]:
    parsed = []
    for text in overrides:
        try:
            parsed.append(parse_override(text))
        except RecipeError as error:
            problems += error.problems
    # Another name drops what was written for the old one. Said last, it still must not drop what was said for it first.
    return sorted(parsed, key=lambda override: not override.renames)


def _merged(
    documents: Sequence[Document], overrides: Sequence[Override], index: Catalog, problems: list[Problem]
) -> Node:
    """All documents and overrides as one, the last word on each value winning."""

    def same(kind: str, one: str, other: str) -> bool:
        try:
            return index.resolve(kind, one).name == index.resolve(kind, other).name
        except ZooError:
            return False

    role = _first_role(documents, overrides, index)
    layers = [expand(_own(document), (), role, problems) for document in reversed(documents)]
    merged = layers[0]
    for layer in layers[1:]:
        merged = merge(merged, layer, (), same)
    for override in overrides:
        try:
            merged = apply_override(merged, override, role, same)
        except RecipeError as error:
            problems += error.problems
    return merged


def _own(document: Document) -> Node:
    """What a document says itself; a good `extends` has done its work."""
    slots = document.node.mapping
    done = isinstance(slots["extends"].value, str) if "extends" in slots else False
    return document.node.like({key: node for key, node in slots.items() if not (done and key == "extends")})


def _first_role(documents: Sequence[Document], overrides: Sequence[Override], index: Catalog) -> str:
    """The loss role that a loss without one fills: the first of the task, which any layer may name."""
    written = [override.node for override in reversed(overrides) if override.way == ("task",)]
    written += [task for document in documents if (task := document.node.child("task")) is not None]
    for task in written:
        name = task.value if isinstance(task.value, str) else task.text("name")
        if name is not None:
            try:
                roles: tuple[str, ...] = getattr(index.resolve(Task.kind, name).entry, "roles", ())
            except ZooError:
                break
            return roles[0] if roles else _ANY_ROLE
    return _ANY_ROLE


def _loaded(documents: Sequence[Document], merged: Node) -> LoadedRecipe:
    schema = RecipeSchema.model_validate(without_nulls(merged).plain())
    nodes = dict(merged.walk())
    return LoadedRecipe(
        name=documents[0].name,
        schema=schema,
        data=schema.model_dump(mode="json", exclude_none=True),
        origins={at: node.where for at, node in nodes.items()},
        nulls=frozenset(at for at, node in nodes.items() if node.value is None),
        keys={at: node.key for at, node in nodes.items() if node.key is not None},
        folders={at: node.folder for at, node in nodes.items()},
        base=documents[0].folder,
        foreign=frozenset(document.shown for document in documents if document.fetched),
    )
