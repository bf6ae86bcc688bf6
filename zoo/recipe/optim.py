"""Checks optimisers and schedules: names of closed sets, whose parameters are those of a class of torch or of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from zoo.build.check import argument_faults
from zoo.build.foreign_signature import read_foreign_signature
from zoo.build.signature import Parameter, Signature, plain_default
from zoo.build.signature_cache import released_signature
from zoo.build.values import At, Fault
from zoo.recipe.closed import Check, closed_parameters
from zoo.recipe.optimizers import TIMM
from zoo.recipe.schema import RunSlot
from zoo.recipe.slots import OPTIMIZERS, SCHEDULES, closed_set
from zoo_registry.errors import ZooError
from zoo_registry.names import nearest

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog

NOT_FROM_A_RECIPE = ("params", "capturable", "differentiable", "momentum_dtype")
"""Parameters of optimisers that the run decides, or that no recipe can write."""

OF_ALL_GROUPS = ("foreach", "fused", "maximize")
"""Parameters of optimisers that are the same for all their groups."""

MOST_STEPS = 2**40
"""More than a run has: how many there will be is known only with the data."""

NOT_NEGATIVE = ("lr", "eps", "weight_decay", "momentum")
"""Numbers that every optimiser of torch refuses below 0, which its annotations do not say."""


def optim_checks(data: Mapping[str, Any]) -> Iterator[tuple[At, str, Mapping[str, Any], Check]]:
    """Every optimiser, group of parameters and schedule of a recipe in the long form.

    The changes of one objective are parameters of the recipe's optimiser where they name no other.

    Yields:
        The way to it, its name, its parameters, and what finds everything wrong with those; nothing for a name that
        means nothing.
    """
    optim, epochs = _mapping(data.get("optim")), _mapping(data.get("run")).get("epochs", RunSlot().epochs)
    slots: list[tuple[At, Mapping[str, Any]]] = [(("optim",), optim)]
    for objective, change in _mapping(optim.get("per_objective")).items():
        slots.append((("optim", "per_objective", objective), {"name": optim.get("name"), **_mapping(change)}))
    for at, slot in slots:
        if isinstance(name := slot.get("name"), str):
            yield at, name, _mapping(slot.get("params")), partial(optimizer_faults, name)
            for number, group in enumerate(slot.get("groups") or []):
                params = _mapping(_mapping(group).get("params"))
                yield (*at, "groups", number), name, params, partial(optimizer_faults, name, whole=False)
        schedule = _mapping(slot.get("schedule"))
        if isinstance(name := schedule.get("name"), str):
            params = _mapping(schedule.get("params"))
            yield (*at, "schedule"), name, params, partial(schedule_faults, name, epochs=epochs)


def _mapping(value: Any) -> Mapping[str, Any]:
    """A mapping, empty for anything else: that is an error of its slot."""
    return value if isinstance(value, Mapping) else {}


def name_faults(name: str, at: At) -> list[Fault]:
    """What is wrong with a name in a slot whose names are a closed set; `at` is the slot."""
    what, known = closed_set(at) or ("", {})
    if not what or name in known:
        return []
    usual = [each for each, string in known.items() if string.startswith("torch.")]
    near = list(dict.fromkeys([*nearest(name.lower(), usual), *nearest(name.lower(), known)]))[:3]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there is {', '.join(known)}"
    return [Fault((*at, "name"), f"no {what} is called {name!r}", hint)]


def optimizer_faults(
    name: str, params: Mapping[str, Any], at: At, index: Catalog, *, whole: bool = True
) -> list[Fault]:
    """Everything wrong with the parameters of an optimiser; nothing for a name that means nothing.

    Args:
        name: as in a recipe.
        params: as in a recipe.
        at: the way to `params`.
        index: where components inside parameters are looked up.
        whole: for all parameters of the model; otherwise for a group, which may leave out everything.
    """
    if name not in OPTIMIZERS:
        return []
    known = optimizer_parameters(name)
    if not whole:
        known = tuple(replace(each, required=False) for each in known if each.name not in OF_ALL_GROUPS)
    return list(argument_faults(f"optimiser {name!r}", known, params, at, index))


def schedule_faults(
    name: str, params: Mapping[str, Any], at: At, index: Catalog, *, epochs: int | None = None
) -> list[Fault]:
    """Everything wrong with the parameters of a schedule, as far as it can be known before the data is.

    Args:
        name: as in a recipe.
        params: as in a recipe.
        at: the way to `params`.
        index: where components inside parameters are looked up.
        epochs: of the run; None or 0: whether it is longer than the run is not asked.
    """
    if name not in SCHEDULES:
        return []
    string = SCHEDULES[name]
    found = list(argument_faults(f"schedule {name!r}", closed_parameters(string), params, at, index))
    if found or not isinstance(epochs, int) or epochs < 1:
        return found
    try:
        resolve_name(string)(MOST_STEPS, epochs, **params)
    except ZooError as error:
        return [Fault(at, f"schedule {name!r}: {each.message}", each.hint) for each in error.problems]
    return []


def optimizer_parameters(name: str) -> tuple[Parameter, ...]:
    """What an optimiser takes; imports torch only for what is not in the cache."""
    string = OPTIMIZERS[name]
    if string.startswith("zoo."):
        return closed_parameters(string)
    distribution, read = ("timm", _read_timm) if string.startswith(TIMM) else ("torch", _read_torch)
    return tuple(map(_bounded, released_signature(string, distribution, lambda: read(string)).parameters))


def _read_torch(string: str) -> Signature:
    return read_foreign_signature(resolve_name(string), leave_out=NOT_FROM_A_RECIPE)


def _read_timm(string: str) -> Signature:
    """As timm makes it: with the defaults of its registry and of `create_optimizer_v2`."""
    from timm.optim import get_optimizer_info

    known = get_optimizer_info(string.removeprefix(TIMM))
    signed = read_foreign_signature(known.opt_class, leave_out=NOT_FROM_A_RECIPE)
    defaults = {"weight_decay": 0.0, **({"momentum": 0.9} if known.has_momentum else {}), **(known.defaults or {})}
    return Signature(
        signed.positional,
        tuple(
            replace(each, default=plain_default(defaults[each.name])) if each.name in defaults else each
            for each in signed.parameters
        ),
    )


def _bounded(parameter: Parameter) -> Parameter:
    schema = parameter.schema or {}
    if parameter.name == "lr" and not isinstance(parameter.default, float | int):
        return replace(parameter, schema={"type": "number", "minimum": 0}, required=True)  # a schedule needs a number
    known = parameter.name in NOT_NEGATIVE and schema.get("type") == "number"
    return replace(parameter, schema={**schema, "minimum": 0}) if known else parameter
