"""What of a network can be pruned so that it computes the same as if the pruned part were silent. Tried, not believed.

A graph of dependencies is a guess about operations it knows by name only. So a copy with random weights is pruned, and
must give what another copy gives in which the same units are silenced by zeros. Groups that fail are left out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from zoo_plugins.compress.attention_heads import attentions, head_groups
from zoo_plugins.compress.culprits import culprits
from zoo_plugins.compress.cuts import Group, Removal, remove, silence

TOLERANCE = 5e-5
"""Part of the length of the answers. Rounding was measured at up to 6e-7; the smallest slip, channels that move in time
by their number, at 4e-4."""


@dataclass(frozen=True)
class Prunable:
    """What can be pruned, and what stays.

    Attributes:
        groups: of units that can be removed.
        kept: layers that stay as they are, and why.
    """

    groups: tuple[Group, ...]
    kept: dict[tuple[str, ...], str]


def prunable(model: nn.Module, example: Sequence[Tensor]) -> Prunable:
    """The groups of channels and heads that can be removed from a network.

    Args:
        model: in eval mode; not changed.
        example: its inputs; the first sample of each is used.
    """
    from zoo_plugins.compress.channel_groups import channel_groups

    inputs = [tensor[:1] for tensor in example]
    channels, kept = channel_groups(model, inputs, attentions(model))
    heads, kept_heads = head_groups(model)
    inside = {layer for group in heads for layer in group.layers}
    kept = {layers: reason for layers, reason in kept.items() if not inside.issuperset(layers[:1])}
    groups = [*channels, *heads]
    probe = _randomised(model)
    removals = [(group, _some(group)) for group in groups]
    broken = {group.name for group, _ in culprits(removals, lambda some: agrees(probe, inputs, some))}
    kept |= kept_heads
    kept |= {
        group.layers: "without some of its units the network fails, or computes something else"
        for group in groups
        if group.name in broken
    }
    return Prunable(tuple(group for group in groups if group.name not in broken), kept)


def agrees(model: nn.Module, inputs: Sequence[Tensor], removals: Sequence[Removal]) -> bool:
    """Whether a network without some units gives what it gives with them silenced."""
    try:
        with torch.no_grad():
            expected = _answers(silence(copy.deepcopy(model), removals), inputs)
            found = _answers(remove(copy.deepcopy(model), removals), inputs)
    except (RuntimeError, ValueError, IndexError, TypeError):  # a shape that something else had relied on
        return False
    if found.shape != expected.shape:
        return False
    return bool((found - expected).norm() <= TOLERANCE * expected.norm())


def _some(group: Group) -> list[int]:
    """Half of the units, in no order that a slip could follow."""
    generator = torch.Generator().manual_seed(group.units)
    return torch.randperm(group.units, generator=generator)[: group.units // 2].tolist()


def _randomised(model: nn.Module) -> nn.Module:
    """A copy in float32 whose every layer passes something on, as one that starts from zeros does not."""
    probe = copy.deepcopy(model).eval()
    if any(parameter.dtype in (torch.float16, torch.bfloat16) for parameter in probe.parameters()):
        probe.float()
        for module in probe.modules():  # hooks cast to 16 bits and back
            module._forward_pre_hooks.clear()
            module._forward_hooks.clear()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in probe.parameters():
            if parameter.dim() > 1:
                values = torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5
            else:
                values = 0.5 + torch.rand(parameter.shape, generator=generator)
            parameter.copy_(values)
    return probe


def _answers(model: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    leaves = [leaf for leaf in tree_leaves(model(*inputs)) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return torch.cat([leaf.double().flatten() for leaf in leaves])
