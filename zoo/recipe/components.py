"""Finds the components that a recipe names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zoo.build.check import parameters
from zoo.build.references import read_reference, references_in
from zoo.build.values import At
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.slots import component_kind
from zoo_registry.catalog import Catalog, Listed
from zoo_registry.errors import ZooError


def named_components(recipe: LoadedRecipe, index: Catalog) -> Iterator[Listed]:
    """Every component that a recipe names, also inside the parameters of others."""
    for _, listed, params in components(recipe.data, index):
        yield listed
        yield from _inside(listed, params, index)


def _inside(listed: Listed, params: Mapping[str, Any], index: Catalog) -> Iterator[Listed]:
    for parameter in parameters(listed):
        if parameter.schema is not None and parameter.name in params:
            for _, kind, value in references_in(params[parameter.name], parameter.schema):
                reference = read_reference(value, kind)
                inner = index.resolve(kind, reference.name)
                yield inner
                yield from _inside(inner, reference.params, index)


def components(data: Mapping[str, Any], index: Catalog) -> Iterator[tuple[At, Listed, Mapping[str, Any]]]:
    """Every component in a slot, with the way to it and its parameters; names that mean nothing are left out."""
    for at, value in _walk(data):
        kind = component_kind(at)
        if kind is None or not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            continue
        params = value.get("params") or {}
        try:
            listed = index.resolve(kind, value["name"])
        except ZooError:
            continue
        if isinstance(params, Mapping):
            yield at, listed, params


def _walk(value: Any, at: At = ()) -> Iterator[tuple[At, Any]]:
    yield at, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*at, index))
