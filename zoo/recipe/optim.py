"""Checks optimisers and schedules: names of closed sets, whose parameters are those of a class of torch or of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from zoo.build.check import argument_faults
from zoo.build.foreign_signature import read_foreign_signature
from zoo.build.signature import Parameter, read_signature
from zoo.build.signature_cache import cached_signature, released_signature
from zoo.build.values import At, Fault
from zoo.recipe.slots import closed_set
from zoo_registry.names import nearest

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog

NOT_FROM_A_RECIPE = ("params", "capturable", "differentiable")
"""Parameters of torch's optimisers that the run decides."""

NOT_NEGATIVE = ("lr", "eps", "weight_decay", "momentum")
"""Numbers that every optimiser of torch refuses below 0, which its annotations do not say."""


def optim_parts(data: Mapping[str, Any]) -> Iterator[tuple[At, str, Mapping[str, Any]]]:
    """Every optimiser and schedule of a recipe in the long form: the way to it, its name and its parameters.

    The changes of one objective are parameters of the recipe's optimiser where they name no other.
    """
    optim = _mapping(data.get("optim"))
    parts: list[tuple[At, Mapping[str, Any]]] = [(("optim",), optim)]
    for objective, change in _mapping(optim.get("per_objective")).items():
        parts.append((("optim", "per_objective", objective), {"name": optim.get("name"), **_mapping(change)}))
    for at, part in parts:
        for way, slot in ((at, part), ((*at, "schedule"), _mapping(part.get("schedule")))):
            if isinstance(name := slot.get("name"), str):
                yield way, name, _mapping(slot.get("params"))


def _mapping(value: Any) -> Mapping[str, Any]:
    """A mapping, empty for anything else: that is an error of its slot."""
    return value if isinstance(value, Mapping) else {}


def name_faults(name: str, at: At) -> list[Fault]:
    """What is wrong with a name in a slot whose names are a closed set; `at` is the slot."""
    what, known = closed_set(at) or ("", {})
    if not what or name in known:
        return []
    near = nearest(name.lower(), known)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there is {', '.join(known)}"
    return [Fault((*at, "name"), f"no {what} is called {name!r}", hint)]


def closed_faults(name: str, params: Mapping[str, Any], at: At, index: Catalog) -> list[Fault]:
    """Everything wrong with the parameters of an optimiser or schedule; nothing for a name that means nothing.

    Args:
        name: as in a recipe.
        params: as in a recipe.
        at: the way to `params`.
        index: where components inside parameters are looked up.
    """
    what, known = closed_set(at[:-1]) or ("", {})
    if name not in known:
        return []
    return list(argument_faults(f"{what} {name!r}", _parameters(known[name]), params, at, index))


def _parameters(string: str) -> tuple[Parameter, ...]:
    """The parameters behind an import string; imports torch only for what is not in the cache."""
    if not string.startswith("torch."):
        return cached_signature(string, "", lambda: read_signature(resolve_name(string), string)).parameters
    signed = released_signature(
        string, "torch", lambda: read_foreign_signature(resolve_name(string), leave_out=NOT_FROM_A_RECIPE)
    )
    return tuple(map(_bounded, signed.parameters))


def _bounded(parameter: Parameter) -> Parameter:
    schema = parameter.schema or {}
    known = parameter.name in NOT_NEGATIVE and schema.get("type") == "number"
    return replace(parameter, schema={**schema, "minimum": 0}) if known else parameter
