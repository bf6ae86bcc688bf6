"""How much each unit of a group matters: the least important ones go first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo_plugins.compress.cuts import NORMS, Cut, Group
from zoo_registry.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

Scores = Mapping[str, Tensor]
"""One number a unit, (units,) in float64 on the CPU, by the name of its group; more is more important."""


def by_magnitude(model: nn.Module, groups: Sequence[Group]) -> Scores:
    """The length of all weights that a unit is written and read by, as a part of the mean in its group.

    Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017 rank filters by their length; Fang et al. 2023 (see
    `channel_groups`) take all weights that are tied together, and divide by the mean so that layers can be compared.
    """
    scores = {}
    for group in groups:
        squares = torch.zeros(group.units, dtype=torch.float64)
        for cut in group.cuts:
            weight = getattr(model.get_submodule(cut.module), cut.tensor)
            if weight.dim() > 1:
                squares += _per_unit(cut, weight.detach().double().square())
        length = squares.sqrt()
        scores[group.name] = length / length.mean().clamp(min=1e-12)
    return scores


def by_norm_scale(model: nn.Module, groups: Sequence[Group]) -> Scores:
    """The size of the batch norms' factors, which scale what a channel passes on.

    Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017,
    https://arxiv.org/abs/1708.06519; compared over all layers as they are.
    """
    scores = {}
    for group in groups:
        cuts = norm_scales(model, group)
        total = torch.stack(
            [_per_unit(cut, model.get_submodule(cut.module).weight.detach().double().abs()) for cut in cuts]
        )
        scores[group.name] = total.mean(0)
    return scores


def norm_scales(model: nn.Module, group: Group) -> list[Cut]:
    """Where the factors of batch norms on a group's channels are."""
    return [cut for cut in group.cuts if cut.tensor == "weight" and isinstance(model.get_submodule(cut.module), NORMS)]


def by_taylor(model: nn.Module, groups: Sequence[Group], losses: Iterator[Tensor]) -> Scores:
    """How much the loss is expected to change without a unit, to first order: (sum of gradient x weight) squared.

    Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, https://arxiv.org/abs/1906.10771,
    equation 8, over the parameters that write a unit, averaged over batches.

    Args:
        model: its gradients are used, and gone afterwards.
        groups: whose units are scored.
        losses: of the model, a scalar a batch.

    Raises:
        RunError: there was no loss.
    """
    scores = {group.name: torch.zeros(group.units, dtype=torch.float64) for group in groups}
    seen = 0
    with _all_learning(model):
        for loss in losses:
            model.zero_grad(set_to_none=True)
            loss.backward()
            seen += 1
            for group in groups:
                scores[group.name] += _first_order(model, group).square()
    if not seen:
        raise RunError("there was no batch to take gradients from", hint="give the recipe training data (`data.train`)")
    return {name: score / seen for name, score in scores.items()}


def _first_order(model: nn.Module, group: Group) -> Tensor:
    change = torch.zeros(group.units, dtype=torch.float64)
    for cut in group.cuts:
        parameter = getattr(model.get_submodule(cut.module), cut.tensor)
        if not cut.reads and isinstance(parameter, nn.Parameter) and parameter.grad is not None:
            change += _per_unit(cut, (parameter.grad * parameter.detach()).double())
    return change


def _per_unit(cut: Cut, values: Tensor) -> Tensor:
    """Values of a tensor summed up for each unit, (units,)."""
    along = values.movedim(cut.dim, 0).reshape(values.shape[cut.dim], -1).sum(1).cpu()
    unit = torch.tensor([unit for unit, indices in enumerate(cut.indices) for _ in indices], dtype=torch.long)
    index = torch.tensor([index for indices in cut.indices for index in indices], dtype=torch.long)
    return torch.zeros(len(cut.indices), dtype=along.dtype).index_add_(0, unit, along[index])


@contextmanager
def _all_learning(model: nn.Module) -> Iterator[None]:
    """Gradients for frozen parameters too; none are left behind."""
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
        model.zero_grad(set_to_none=True)
