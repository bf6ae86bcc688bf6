"""Checks the parameters of every component that a recipe names, against the signatures of their builders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from zoo.build.check import param_faults, parameters
from zoo.build.references import read_reference, references_in
from zoo.build.values import At
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.slots import component_kind
from zoo_registry.catalog import Catalog, Listed, catalog
from zoo_registry.errors import Location, Problem, ZooError

Where = Callable[[At, bool], Location | None]


def check_recipe(recipe: LoadedRecipe, *, index: Catalog | None = None) -> list[Problem]:
    """Everything wrong with the parameters in a loaded recipe.

    Imports only the builders that the recipe names, and those only if their signatures are not in the cache.

    Args:
        recipe: from `load_recipe`.
        index: where names are looked up; the process's catalogue by default.

    Returns:
        Problems with file, line and column; empty when all is well.

    Example:
        >>> check_recipe(load_recipe("quickstart"))                                               # doctest: +SKIP
        []
    """
    return parameter_problems(recipe.data, recipe.nulls, recipe.where, index or catalog())


def parameter_problems(data: Mapping[str, Any], nulls: Collection[At], where: Where, index: Catalog) -> list[Problem]:
    """What is wrong with the parameters of every component in the data whose name means something.

    Args:
        data: a recipe in the long form.
        nulls: ways to what was set back to its default.
        where: the place of a value, or of its key.
        index: where names are looked up.
    """
    problems = []
    for at, listed, params in components(data, index):
        way = (*at, "params")
        names = {str(null[-1]): None for null in nulls if null[:-1] == way}
        unknown = [fault for fault in param_faults(listed, names, way, index) if fault.key]
        found = [*param_faults(listed, params, way, index), *unknown]
        problems += [Problem(fault.message, where(fault.at, fault.key), fault.hint) for fault in found]
    return list(dict.fromkeys(problems))


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
