"""Checks the parameters of all that a recipe names: components, optimisers, schedules, against their signatures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from zoo.build.check import param_faults
from zoo.build.values import At
from zoo.recipe.augment_order import augment_order_problems
from zoo.recipe.average import average_checks
from zoo.recipe.clip import clip_problems
from zoo.recipe.closed import Check
from zoo.recipe.components import components
from zoo.recipe.files import stray_files
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.optim import optim_checks
from zoo_registry.catalog import Catalog, catalog
from zoo_registry.errors import HubError, Location, Problem

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
    index = index or catalog()
    problems = parameter_problems(recipe.data, recipe.nulls, recipe.where, index)
    problems += augment_order_problems(recipe)
    problems += clip_problems(recipe, index)
    problems += publish_problems(recipe)
    return problems or stray_files(recipe, index)


def publish_problems(recipe: LoadedRecipe) -> list[Problem]:
    """Addresses, tags and licences that cannot be any; whether they are free is asked when the recipe runs."""
    from zoo.hub.push import address_of, check_licence

    slot = recipe.schema.publish
    if slot is None:
        return []
    problems: list[Problem] = []
    for check, at in (
        (partial(address_of, slot.repo, slot.tag), ("publish", "repo")),
        (partial(check_licence, slot.licence or "unknown"), ("publish", "licence")),
    ):
        try:
            check()
        except HubError as error:
            problems += [Problem(each.message, recipe.where(at), each.hint) for each in error.problems]
    return problems


def parameter_problems(data: Mapping[str, Any], nulls: Collection[At], where: Where, index: Catalog) -> list[Problem]:
    """What is wrong with the parameters of everything in the data whose name means something.

    Args:
        data: a recipe in the long form.
        nulls: ways to what was set back to its default.
        where: the place of a value, or of its key.
        index: where names are looked up.
    """
    problems = []
    parts: list[tuple[At, Check, Mapping[str, Any]]] = [
        *((at, partial(param_faults, listed), params) for at, listed, params in components(data, index)),
        *((at, check, params) for at, _, params, check in (*optim_checks(data), *average_checks(data))),
    ]
    for at, check, params in parts:
        way = (*at, "params")
        names = {str(null[-1]): None for null in nulls if null[:-1] == way}
        unknown = [fault for fault in check(names, way, index) if fault.key]
        found = [*check(params, way, index), *unknown]
        problems += [Problem(fault.message, where(fault.at, fault.key), fault.hint) for fault in found]
    return list(dict.fromkeys(problems))
