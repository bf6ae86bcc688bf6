"""Which parameters learn at which rate, and which of them decay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from torch.nn import Embedding, GroupNorm, LayerNorm, Module, Parameter, RMSNorm
from torch.nn.modules.batchnorm import _NormBase

from zoo.build.values import At, dotted
from zoo.network_stages import parameters_in, parts_of, stages_of
from zoo_registry.errors import Location, Problem
from zoo_registry.names import nearest

if TYPE_CHECKING:
    from zoo.recipe.schema import GroupSlot

_NORMS = (_NormBase, LayerNorm, GroupNorm, RMSNorm)


@dataclass
class ParameterGroup:
    """Parameters that are treated alike.

    Attributes:
        parameters: in the order of the objective.
        scale: factor of the learning rate.
        decays: whether the optimiser's weight decay holds for them.
        params: what the recipe changes for them, by `optim.groups`.
        matrices: whether they are the matrices inside the network; see `inner_matrices`.
    """

    parameters: list[Parameter]
    scale: float
    decays: bool
    params: Mapping[str, Any] = field(default_factory=dict)
    matrices: bool = False


def parameter_groups(
    parameters: Iterable[Parameter],
    state: Module,
    network: Module,
    *,
    layer_decay: float | None = None,
    decay_norms_and_biases: bool = True,
    rules: Sequence[GroupSlot] = (),
    matrices_apart: bool = False,
) -> list[ParameterGroup]:
    """Divide what an objective learns.

    Args:
        parameters: of the objective.
        state: the task's, which holds all parameters; tells norms and biases by their modules and names.
        network: the recipe's model.
        layer_decay: see `layer_scales`; parameters outside the network have scale 1.
        decay_norms_and_biases: with False no weight decay for norms, biases, other parameters of at most one dimension,
            and those that the network's `no_weight_decay()` names, such as position tables and class tokens.
        rules: the recipe's `optim.groups`; the first whose pattern matches a name of `parameter_names` holds.
        matrices_apart: whether `inner_matrices` have groups of their own.

    Returns:
        Groups in the order of their first parameters; one group where nothing is told apart.
    """
    scales = layer_scales(network, layer_decay) if layer_decay is not None else {}
    spared = set() if decay_norms_and_biases else _without_decay(state, network)
    inner = inner_matrices(network) if matrices_apart else set()
    names = parameter_names(state, network)
    groups: dict[tuple[float, bool, int, bool], ParameterGroup] = {}
    for parameter in parameters:
        scale, decays = scales.get(id(parameter), 1.0), id(parameter) not in spared
        rule, matrix = _first_match(names[id(parameter)], rules), id(parameter) in inner
        params = rules[rule].params if rule >= 0 else {}
        group = groups.setdefault(
            (scale, decays, rule, matrix), ParameterGroup([], scale, decays, params=params, matrices=matrix)
        )
        group.parameters.append(parameter)
    return list(groups.values())


def parameter_names(state: Module, network: Module) -> dict[int, str]:
    """What a recipe calls parameters, by their ids: the model's names, and the task's for what the task adds."""
    outer = {id(parameter): name for name, parameter in state.named_parameters()}
    return outer | {id(parameter): name for name, parameter in network.named_parameters()}


def rule_problems(
    rules: Sequence[GroupSlot],
    names: Sequence[str],
    at: At = ("optim", "groups"),
    where: Callable[[At], Location | None] = lambda at: None,
) -> list[Problem]:
    """Patterns that no parameter is left for.

    Args:
        rules: in the order in which they are tried.
        names: of all parameters that learn, as `parameter_names` has them.
        at: the slot.
        where: the place of a value in the recipe.
    """
    used = {_first_match(name, rules) for name in names}
    problems = []
    for number, rule in enumerate(rules):
        if number in used:
            continue
        way = (*at, number, "match")
        said = f"{dotted(way)}: {rule.match!r}"
        if any(fnmatchcase(name, rule.match) for name in names):
            message, hint = f"{said} matches only what an earlier pattern has taken", "write it before it"
        else:
            message, hint = f"{said} matches no parameter that learns", _nearest_patterns(rule.match, names)
        problems.append(Problem(message, where(way), hint))
    return problems


def _nearest_patterns(pattern: str, names: Sequence[str]) -> str:
    """Parameters and modules whose names are near, else the outermost modules."""
    near = nearest(pattern, dict.fromkeys(each for name in names for each in _patterns(name)))
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"there is {', '.join(dict.fromkeys((_patterns(name)[1:] or [name])[0] for name in names))}"


def inner_matrices(network: Module) -> set[int]:
    """Ids of the two-dimensional parameters of the stages before the head, without tables of embeddings and norms."""
    *body, _ = stages_of(network)
    listed = _listed_without_decay(network)
    tables = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, (Embedding, *_NORMS))
        for parameter in module.parameters(recurse=False)
    } | {id(parameter) for name, parameter in network.named_parameters() if name in listed}
    inside = {
        id(parameter)
        for stage in body
        for part in parts_of(network, stage.layers)
        for parameter in parameters_in(part)
        if parameter.ndim == 2
    }
    return inside - tables


def _patterns(name: str) -> list[str]:
    """A name, and the patterns of the modules that it is in."""
    steps = name.split(".")
    return [name, *(f"{'.'.join(steps[:length])}.*" for length in range(1, len(steps)))]


def _first_match(name: str, rules: Sequence[GroupSlot]) -> int:
    return next((number for number, rule in enumerate(rules) if fnmatchcase(name, rule.match)), -1)


def layer_scales(network: Module, decay: float) -> Mapping[int, float]:
    """Factors of the learning rate: `decay` to the power of the number of layers that follow (BEiT, Bao et al. 2021).

    The head is one layer and has scale 1.

    Args:
        network: its layers are those of all its stages; see `zoo.network_stages.stages_of`.
        decay: factor from a layer to the one before it, 0..1.

    Returns:
        By the id of the parameter.

    Example:
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2))
        >>> scales = layer_scales(network, 0.5)
        >>> [scales[id(parameter)] for parameter in (network[0].weight, network[2].weight, network[3].weight)]
        [0.25, 0.5, 1.0]
    """
    *body, head = stages_of(network)
    layers = [[layer] for stage in body for layer in stage.layers] + [list(head.layers)]
    return {
        id(parameter): decay ** (len(layers) - 1 - number)
        for number, layer in enumerate(layers)
        for part in parts_of(network, layer)
        for parameter in parameters_in(part)
    }


def _without_decay(state: Module, network: Module) -> set[int]:
    """Ids of parameters whose size says nothing about how much was learnt by heart."""
    named = {
        id(parameter)
        for module in state.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim <= 1 or name == "bias" or isinstance(module, _NORMS)
    }
    listed = _listed_without_decay(network)
    return named | {id(parameter) for name, parameter in network.named_parameters() if name in listed}


def _listed_without_decay(network: Module) -> set[str]:
    """Names that the network itself asks to spare."""
    wish = getattr(network, "no_weight_decay", None)
    return set(wish()) if callable(wish) else set()
