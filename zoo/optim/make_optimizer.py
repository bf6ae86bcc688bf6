"""Makes the optimisers that a recipe names: torch's, timm's, and Muon with AdamW."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

from torch.optim import Optimizer

from zoo.optim.parameter_groups import ParameterGroup
from zoo.recipe.optimizers import TIMM
from zoo.recipe.schema import OptimSlot
from zoo.recipe.slots import OPTIMIZERS
from zoo_registry.errors import ParameterError


def make_optimizers(optim: OptimSlot, groups: Sequence[ParameterGroup]) -> list[Optimizer]:
    """One optimiser, or one for each kind of parameter where the name stands for two.

    On a GPU the kernels that do a whole step at once are chosen where the optimiser has them.

    Args:
        optim: name and params, checked.
        groups: all that learns, where it will stay.

    Raises:
        ParameterError: what the optimiser does not admit.
    """
    try:
        made = _make(optim, groups)
    except (ValueError, TypeError) as error:
        raise ParameterError(f"optimiser {optim.name!r}: {error}") from error
    treated = {id(parameter): group for group in groups for parameter in group.parameters}
    for in_optimizer in (in_optimizer for each in made for in_optimizer in each.param_groups):
        group = treated[id(in_optimizer["params"][0])]
        in_optimizer["lr"] *= group.scale
        if not group.decays and "weight_decay" in in_optimizer:
            in_optimizer["weight_decay"] = 0.0
    return made


def tells_matrices_apart(name: str) -> bool:
    """Whether an optimiser has to be told the matrices inside a network from all else."""
    return not OPTIMIZERS[name].startswith(("torch.", TIMM))


def _make(optim: OptimSlot, groups: Sequence[ParameterGroup]) -> list[Optimizer]:
    string = OPTIMIZERS[optim.name]
    if string.startswith(TIMM):
        from timm.optim import create_optimizer_v2

        return [create_optimizer_v2(_written(groups), string.removeprefix(TIMM), **optim.params)]
    make = resolve_name(string)
    params = {**_fused(make, groups, optim.params), **optim.params}
    if string.startswith("torch."):
        return [make(_written(groups), **params)]
    matrices, others = ([group for group in groups if group.matrices is wanted] for wanted in (True, False))
    made: list[Optimizer] = make(_written(matrices), _written(others), **params)
    return made


def _written(groups: Sequence[ParameterGroup]) -> list[dict[str, Any]]:
    """Groups as torch takes them."""
    return [{"params": group.parameters, **group.params} for group in groups]


def _fused(make: Any, groups: Sequence[ParameterGroup], chosen: dict[str, Any]) -> dict[str, Any]:
    """One kernel for a whole step, unless the recipe chose how; torch's own choice is several kernels."""
    takes = "fused" in inspect.signature(make).parameters and not {"fused", "foreach"} & chosen.keys()
    on_gpu = all(
        parameter.is_cuda and parameter.is_floating_point() for group in groups for parameter in group.parameters
    )
    return {"fused": True} if takes and on_gpu else {}
