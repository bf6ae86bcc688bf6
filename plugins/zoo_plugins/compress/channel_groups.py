"""Finds which channels of a network can be removed, and all that is tied to each of them.

Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, https://arxiv.org/abs/2301.12900: one channel is
written by a layer, and by every layer whose output is added to it; norms and depthwise convolutions carry it on; the
next layers read it. The graph comes from torch-pruning. What it holds that cannot be cut safely is left out here.

Import this module only when something is pruned: it imports torch_pruning.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from zoo_plugins.compress.cuts import CONVOLUTIONS, Cut, Group, is_depthwise, read, written

MOST_STEPS = 3_000
MOST_SECONDS = 10.0
"""From one layer. VideoMAE-S needs 615 steps, SlowFast 81, each a few seconds for all layers together."""

MOST_INDICES = 100_000
"""Of one layer that a group touches: the widest have some thousand channels, at some places each."""

ROOTS = (*CONVOLUTIONS, nn.Linear, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

Kept = dict[tuple[str, ...], str]
"""Layers whose channels all stay, and why."""


def channel_groups(
    model: nn.Module, example: Sequence[Tensor], attentions: Sequence[str] = ()
) -> tuple[list[Group], Kept]:
    """The groups of channels that can be removed, and the layers that keep theirs.

    Args:
        model: in eval mode; not changed.
        example: its inputs.
        attentions: names of modules whose inner layers are the business of `attention_heads`.
    """
    groups: list[Group] = []
    kept: Kept = {}
    taken: set[tuple[str, str, int, int]] = set()
    order = [name for name, _ in model.named_modules()].index
    for items, names in _tied_channels(model, example):
        if items is None:
            kept[tuple(names[None])] = "their channels take more ways through the network than can be followed"
            continue
        writers = {names[target] for target, writes, _ in items if writes and isinstance(target, ROOTS)}
        layers = tuple(sorted(writers, key=order))
        reason = _reason_to_keep(items, names, attentions)
        cuts = () if reason else tuple(_cuts(items, names))
        places = {(cut.module, cut.tensor, cut.dim, index) for cut in cuts for unit in cut.indices for index in unit}
        if reason is None and (taken & places or len(places) < sum(len(unit) for cut in cuts for unit in cut.indices)):
            reason = "its channels overlap with those of another group"
        if reason is None and not any(cut.reads for cut in cuts):
            reason = "nothing that can be cut reads its channels"
        if reason:
            kept[layers] = reason
            continue
        taken |= places
        kind = "mlp" if all(isinstance(model.get_submodule(name), nn.Linear) for name in layers) else "channels"
        groups.append(Group(layers[0], kind, layers, len(cuts[0].indices), 1, cuts))
    return groups, kept


Item = tuple[Any, bool, Sequence[tuple[int, int]]]
"""A module or parameter, whether it writes the channels, and pairs of (unit, index in it)."""


def _tied_channels(
    model: nn.Module, example: Sequence[Tensor]
) -> Iterator[tuple[list[Item] | None, Mapping[Any, str]]]:
    """All channels of each layer with all that is tied to them; None and the layers left if that never ends."""
    graph, traced = _graph(model, example)
    names = {module: name for name, module in traced.named_modules()}
    names |= {parameter: name for name, parameter in traced.named_parameters()}
    steps = _Steps(graph)
    seen: set[Any] = set()
    for root in [each for each in graph.module2node if isinstance(each, ROOTS)]:
        if root in seen:
            continue
        pruner = graph.get_pruner_of_module(root)
        units = list(range(pruner.get_out_channels(root)))
        steps.left, steps.end = MOST_STEPS, time.monotonic() + MOST_SECONDS
        try:
            group = graph.get_pruning_group(root, pruner.prune_out_channels, units)
        except _TooTangled:
            yield (
                None,
                {None: [names[each] for each in graph.module2node if isinstance(each, ROOTS) and each not in seen]},
            )
            return
        items = []
        for item in group:
            writes = graph.is_out_channel_pruning_fn(item.dep.handler)
            items.append((item.dep.target.module, writes, list(zip(item.root_idxs, item.idxs, strict=True))))
        seen |= {target for target, writes, _ in items if writes}
        yield items, names


class _TooTangled(Exception):
    """A group's channels take more ways than can be followed."""


class _Steps:
    """Counts the steps along the edges of a graph, and stops who takes too many.

    Windows that are cut out and put together again look like ever new channels.
    """

    def __init__(self, graph: Any) -> None:
        self.left, self.end = MOST_STEPS, time.monotonic() + MOST_SECONDS
        for node in graph.module2node.values():
            for edge in node.dependencies:
                edge.is_triggered_by = partial(self._step, edge.is_triggered_by)
                edge.index_mapping = [way and partial(self._mapped, way) for way in edge.index_mapping]

    def _step(self, ask: Callable[[Any], bool], handler: Any) -> bool:
        self.left -= 1
        if self.left < 0 or time.monotonic() > self.end:
            raise _TooTangled
        return ask(handler)

    def _mapped(self, way: Callable[[Any], Any], indices: Any) -> Any:
        if len(indices) > MOST_INDICES:
            raise _TooTangled
        return way(indices)


def _graph(model: nn.Module, example: Sequence[Tensor]) -> tuple[Any, nn.Module]:
    """The dependency graph of a copy, on tensors without memory where the model can run on them."""
    failed = None
    for device in ("meta", None):
        traced = copy.deepcopy(model).eval().requires_grad_(True)  # the graph is that of autograd
        inputs = [tensor[:1].detach() for tensor in example]
        if device:
            traced, inputs = traced.to(device), [tensor.to(device) for tensor in inputs]
        graph = torch_pruning.DependencyGraph()
        try:
            with torch.enable_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                graph.build_dependency(traced, inputs, forward_fn=_outputs, verbose=False)
        except (NotImplementedError, RuntimeError, TypeError) as error:
            failed = error
            continue
        graph.module2node = _Settled(graph.module2node)
        return graph, traced
    raise failed  # type: ignore[misc]  # set by every turn that did not return


class _Settled(dict[Any, Any]):
    """The graph's nodes, without those whose ways of counting channels it would work out anew for every group.

    They change when the graph cuts channels, which it never does here, and take minutes where there are many.
    """

    def items(self) -> Any:
        """Nothing; this is what the graph goes through for that."""
        return ()


def _outputs(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """What the model gives, each by an operation of its own: the graph takes that one for the network's output."""
    leaves = [leaf for leaf in tree_leaves(model(*inputs)) if isinstance(leaf, Tensor) and leaf.requires_grad]
    return [leaf * 1 for leaf in leaves]


def _reason_to_keep(items: Sequence[Item], names: Mapping[Any, str], attentions: Sequence[str]) -> str | None:
    for target, writes, pairs in items:
        if target not in names:  # an operation
            if isinstance(target, torch_pruning.ops._OutputOp):
                return "they are outputs of the model"
            continue
        name = names[target]
        if isinstance(target, nn.Parameter):
            return f"they are tied to {name}, a parameter that is used directly"
        inside = next((one for one in attentions if name.startswith(f"{one}.")), None)
        if inside is not None and writes:
            return f"they are inside the attention {inside}"
        if not any(True for _ in target.parameters(recurse=False)):
            continue
        if (writes and not written(target)) or (not writes and not read(target)):
            return f"{_described(target)} {name} works across them"
        if getattr(target, "groups", 1) > 1 and not is_depthwise(target):
            return f"{name} is a convolution in {target.groups} groups"
        if any(index >= _length(target, writes) for _, index in pairs):
            return f"their way through {name} cannot be followed"
    return None


def _described(module: nn.Module) -> str:
    return f"the {type(module).__name__}"


def _length(module: nn.Module, writes: bool) -> int:
    tensor, dim = (written(module) if writes else read(module))[0]
    return int(getattr(module, tensor).shape[dim])


def _cuts(items: Sequence[Item], names: Mapping[Any, str]) -> Iterator[Cut]:
    units = len(items[0][2])
    for target, writes, pairs in items:
        if target not in names or not (tensors := written(target) if writes else read(target)):
            continue
        indices: list[list[int]] = [[] for _ in range(units)]
        for unit, index in pairs:
            indices[unit].append(index)
        for tensor, dim in tensors:
            yield Cut(names[target], tensor, dim, tuple(map(tuple, indices)), reads=not writes)
