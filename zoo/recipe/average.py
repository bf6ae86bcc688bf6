"""Checks the average of the weights that a recipe asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from zoo.build.check import argument_faults
from zoo.build.values import At, Fault
from zoo.recipe.closed import Check, closed_parameters
from zoo.recipe.slots import AVERAGES

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog


def average_checks(data: Mapping[str, Any]) -> Iterator[tuple[At, str, Mapping[str, Any], Check]]:
    """The way to `run.average` of a recipe in the long form, its name, its parameters, and what checks those."""
    average = (data.get("run") or {}).get("average") or {}
    if isinstance(average, Mapping) and isinstance(name := average.get("name"), str):
        yield ("run", "average"), name, average.get("params") or {}, partial(average_faults, name)


def average_faults(name: str, params: Mapping[str, Any], at: At, index: Catalog) -> list[Fault]:
    """Everything wrong with the parameters of an average; nothing for a name that means nothing.

    Args:
        name: as in a recipe.
        params: as in a recipe.
        at: the way to `params`.
        index: where components inside parameters are looked up.
    """
    if name not in AVERAGES:
        return []
    return list(argument_faults(f"average {name!r}", closed_parameters(AVERAGES[name]), params, at, index))
