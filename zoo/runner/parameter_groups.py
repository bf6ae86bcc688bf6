"""Which parameters learn at which rate, and which of them decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch.nn import GroupNorm, LayerNorm, Module, Parameter, RMSNorm
from torch.nn.modules.batchnorm import _NormBase

from zoo.runner.network_stages import parameters_in, parts_of, stages_of

_NORMS = (_NormBase, LayerNorm, GroupNorm, RMSNorm)


@dataclass
class ParameterGroup:
    """Parameters that are treated alike.

    Attributes:
        parameters: in the order of the objective.
        scale: factor of the learning rate.
        decays: whether the optimiser's weight decay holds for them.
    """

    parameters: list[Parameter]
    scale: float
    decays: bool


def parameter_groups(
    parameters: Iterable[Parameter],
    state: Module,
    network: Module,
    *,
    layer_decay: float | None = None,
    decay_norms_and_biases: bool = True,
) -> list[ParameterGroup]:
    """Divide what an objective learns.

    Args:
        parameters: of the objective.
        state: the task's, which holds all parameters; tells norms and biases by their modules and names.
        network: the recipe's model.
        layer_decay: see `layer_scales`; parameters outside the network have scale 1.
        decay_norms_and_biases: with False no weight decay for norms, biases, other parameters of at most one dimension,
            and those that the network's `no_weight_decay()` names, such as position tables and class tokens.

    Returns:
        Groups in the order of their first parameters; one group where nothing is told apart.
    """
    scales = layer_scales(network, layer_decay) if layer_decay is not None else {}
    spared = set() if decay_norms_and_biases else _without_decay(state, network)
    groups: dict[tuple[float, bool], ParameterGroup] = {}
    for parameter in parameters:
        scale, decays = scales.get(id(parameter), 1.0), id(parameter) not in spared
        group = groups.setdefault((scale, decays), ParameterGroup([], scale, decays))
        group.parameters.append(parameter)
    return list(groups.values())


def layer_scales(network: Module, decay: float) -> Mapping[int, float]:
    """Factors of the learning rate: `decay` to the power of the number of layers that follow (BEiT, Bao et al. 2021).

    The head is one layer and has scale 1.

    Args:
        network: its layers are those of all its stages; see `zoo.runner.network_stages.stages_of`.
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
    wish = getattr(network, "no_weight_decay", None)
    listed = set(wish()) if callable(wish) else set()
    return named | {id(parameter) for name, parameter in network.named_parameters() if name in listed}
