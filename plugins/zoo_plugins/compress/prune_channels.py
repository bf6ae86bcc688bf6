"""Structured pruning: whole channels and attention heads go, so that the network gets smaller and faster everywhere.

Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023; see `channel_groups` and `attention_heads`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from zoo_plugins.compress.cost_target import CostTarget, least_strength, read_target
from zoo_plugins.compress.cuts import Group, Removal, remove
from zoo_plugins.compress.prunable import Prunable, prunable
from zoo_plugins.compress.record import fields
from zoo_plugins.compress.shape_record import changes, reshape, shapes_of
from zoo_plugins.compress.unit_choice import choose, select
from zoo_plugins.compress.unit_importance import Scores, by_magnitude, by_norm_scale, by_taylor, norm_scales
from zoo_registry import Range
from zoo_registry.errors import ParameterError, PluginError
from zoo_registry.protocols import CompressionContext

WHAT = "prune_channels"
PARTS = ("channels", "heads", "mlp")

Importance = Literal["magnitude", "bn_scale", "taylor"]


@dataclass(frozen=True)
class _Plan:
    """How units are ranked and taken; see `prune_channels`."""

    importance: str
    batches: int
    scope: str
    round_to: int
    units: Mapping[str, int]


def prune_channels(
    model: nn.Module,
    context: CompressionContext,
    *,
    ratio: Annotated[float, Range(gt=0, lt=1)] | None = None,
    target: dict[str, Annotated[float, Range(gt=0, lt=1)]] | None = None,
    importance: Importance = "magnitude",
    scope: Literal["global", "layer"] = "global",
    parts: list[Literal["channels", "heads", "mlp"]] | None = None,
    only: list[str] | None = None,
    skip: list[str] | None = None,
    round_to: Annotated[int, Range(ge=1)] = 8,
    steps: Annotated[int, Range(ge=1)] = 1,
    epochs: Annotated[int, Range(ge=0)] = 0,
    lr: Annotated[float, Range(gt=0)] = 1e-3,
    batches: Annotated[int, Range(ge=1)] = 8,
) -> tuple[nn.Module, dict[str, Any]]:
    """Remove the least important channels of convolutions, heads of attentions and inner channels of MLPs.

    A channel goes with all that is tied to it: layers whose outputs are added to it, norms, depthwise convolutions,
    squeeze-excite layers, and the part of the next layers that reads it. What cannot go safely stays, and the record
    says why: the model's outputs, widths that a layer norm or a position table spans, convolutions in groups, layers
    without which a copy of the network would compute something else. Exactly one of `ratio` and `target` is given.

    Args:
        model: in eval mode; changed in place.
        context: gives example inputs; costs for `target`, losses for `taylor`, training for `epochs`.
        ratio: part of the prunable channels that goes. What a layer keeps is rounded up to a multiple of `round_to`,
            so a little less may go; multiply-adds fall about with the square of what stays.
        target: what is to be left of the original's cost: `{gmacs: 0.5}` or `{latency: 0.6}`, latency on the device.
        importance: `magnitude`, the length of all weights tied to a channel; `bn_scale`, the factors of its batch
            norms; `taylor`, gradient times weight on training batches, the change of the loss that is expected.
        scope: `global` ranks the channels of all layers together and keeps at least a tenth of each; `layer` takes
            the same part of each.
        parts: `channels`, `heads` and `mlp` (what lies between two linear layers); all by default.
        only: patterns of layer names; only their channels go. Layers that are tied must be named together.
        skip: patterns of layer names whose channels stay, and with them those of all layers tied to them.
        round_to: channels of a layer that stay are a multiple of this; 8 to 16 suit vector units and tensor cores.
        steps: prune in as many steps of equal size, ranking anew at each.
        epochs: training after each step, the last one too.
        lr: learning rate of that training.
        batches: training batches that `taylor` looks at.

    Returns:
        The model and the record: every shape and size that changed, what is left of costs, which layers stayed and why.

    Raises:
        ParameterError: neither or both of `ratio` and `target`, a target that cannot be reached, a pattern that fits no
            layer or tears tied ones apart, or nothing that can be pruned.
        RunError: `taylor` or `epochs` without training data.

    Example:
        >>> from types import SimpleNamespace
        >>> model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)).eval()
        >>> context = SimpleNamespace(example=(torch.randn(1, 4),))
        >>> smaller, record = prune_channels(model, context, ratio=0.5)
        >>> smaller[0].out_features, record["removed"]
        (8, {'0': 8})
    """
    if (ratio is None) == (target is None):
        raise ParameterError(f"{WHAT} takes exactly one of `ratio` and `target`", hint="such as ratio: 0.3")
    found = _wanted(model, context.example, importance, parts or PARTS, only or (), skip or ())
    cost = None if target is None else read_target(target, context, model, WHAT)
    before, answers = shapes_of(model), _answers(model, context.example)
    groups = list(found.groups)
    plan = _Plan(importance, batches, scope, round_to, {group.name: group.units for group in groups})
    for step in range(1, steps + 1):
        removals = _removals(model, context, groups, plan, (ratio or 0) * step / steps, cost, step / steps)
        remove(model, removals)
        groups = _after(groups, removals)
        if epochs:
            context.train(model, epochs=epochs, lr=lr)
    _verify(model, context.example, answers)
    gone = {group.name: plan.units[group.name] - group.units for group in groups}
    return model, {
        **changes(before, model),
        "removed": {name: count for name, count in gone.items() if count},
        "kept": [{"layers": list(layers), "reason": reason} for layers, reason in found.kept.items()],
        "left": {} if cost is None else {cost.kind: round(cost.left(model), 4)},
    }


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Give a freshly built model the shapes of the pruned one.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    kinds = {"shapes": Mapping, "attributes": Mapping, "removed": Mapping, "kept": list, "left": Mapping}
    shapes, attributes, *_ = fields(record, kinds, WHAT)
    return reshape(model, {"shapes": shapes, "attributes": attributes}, WHAT)


def _wanted(
    model: nn.Module,
    example: Sequence[Tensor],
    importance: str,
    parts: Sequence[str],
    only: Sequence[str],
    skip: Sequence[str],
) -> Prunable:
    """What the user wants pruned and can be."""
    found = select(prunable(model, example), parts, only, skip)
    kept, groups = dict(found.kept), found.groups
    if importance == "bn_scale":
        groups = tuple(group for group in groups if norm_scales(model, group))
        bare = {group.layers: "no batch norm scales them" for group in found.groups if group not in groups}
        kept |= bare
    if not groups:
        reasons = list(dict.fromkeys(f"{layers[0]}: {reason}" for layers, reason in kept.items()))
        told = "; ".join(reasons[:4]) + ("; and others" if len(reasons) > 4 else "")
        raise ParameterError(f"{WHAT} finds nothing to prune: {told or 'the model has no layer with channels'}")
    return Prunable(groups, kept)


def _removals(
    model: nn.Module,
    context: CompressionContext,
    groups: list[Group],
    plan: _Plan,
    part: float,
    cost: CostTarget | None,
    progress: float,
) -> list[Removal]:
    """What goes in one step: a part of all that there was at first, or what brings the cost down far enough."""
    scores = _scores(model, context, groups, plan)

    def removals(strength: float) -> list[Removal]:
        return choose(groups, scores, strength, plan.scope, plan.round_to, plan.units)

    if cost is None:
        return removals(part)
    goal = 1 - (1 - cost.part) * progress
    return removals(least_strength(lambda strength: remove(copy.deepcopy(model), removals(strength)), cost, goal, WHAT))


def _scores(model: nn.Module, context: CompressionContext, groups: list[Group], plan: _Plan) -> Scores:
    if plan.importance == "magnitude":
        return by_magnitude(model, groups)
    if plan.importance == "bn_scale":
        return by_norm_scale(model, groups)
    return by_taylor(model, groups, iter(context.losses(model, plan.batches)))


def _after(groups: list[Group], removals: list[Removal]) -> list[Group]:
    gone = {group.name: units for group, units in removals}
    return [group.after(gone[group.name]) if group.name in gone else group for group in groups]


def _answers(model: nn.Module, example: Sequence[Tensor]) -> list[torch.Size]:
    with torch.no_grad():
        output = model(*(tensor[:1] for tensor in example))
    return [leaf.shape for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def _verify(model: nn.Module, example: Sequence[Tensor], answers: list[torch.Size]) -> None:
    try:
        found = _answers(model, example)
    except Exception as error:
        raise PluginError(f"{WHAT} left a network that fails: {error}", hint="name the layer in `skip`") from error
    if found != answers:
        raise PluginError(f"{WHAT} left a network whose outputs have the shapes {found}, not {answers}")
