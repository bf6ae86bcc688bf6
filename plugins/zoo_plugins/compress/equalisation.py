"""Evens out the channels between two layers, so that one range of int8 fits all of them.

Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1: what
follows a ReLU may be divided by any positive number if the next layer multiplies by it. Their numbers come from the
weights; here these have a range for each output channel, and it is the values in between that share one. So the numbers
come from those, as in Xiao et al., SmoothQuant, ICML 2023, equation 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from zoo_plugins.compress.answers import answers

STRENGTH = 0.8  # 1 evens out everything, 0 nothing; SmoothQuant's alpha
_MOST = 20.0  # what a channel is stretched by: one that is nearly silent must not drown the others' weights
_RELUS = {torch.relu, torch.relu_, F.relu, F.relu_, Tensor.relu, Tensor.relu_}

Chain = tuple[str, str]
"""Names of two layers with nothing but a ReLU between them, and of which nobody else reads."""


def find_chains(model: nn.Module, layers: Mapping[str, nn.Module], example: Sequence[Tensor]) -> list[Chain]:
    """Which layers feed exactly one other through a ReLU. Found by running the model once.

    Args:
        model: in eval mode.
        layers: convolutions and linear layers by name.
        example: inputs of the model; one sample is enough.
    """
    watch = _Watch(layers)
    try:
        with torch.no_grad(), watch:
            output = model(*example)
    finally:
        watch.remove()
    holders = Counter(id(module._parameters.get("weight")) for module in model.modules())
    return [
        chain
        for chain in watch.chains(output)
        if _scales_inputs(*(layers[name] for name in chain))
        and all(holders[id(weight)] == 1 and not watch.reads[id(weight)] for weight in _weights(layers, chain))
    ]


@torch.no_grad()
def equalise(
    model: nn.Module,
    layers: Mapping[str, Any],
    chains: Sequence[Chain],
    batches: Iterable[tuple[Tensor, ...]],
    strength: float = STRENGTH,
) -> None:
    """Stretch the quiet channels between two layers; what the model answers stays the same.

    Args:
        model: in eval mode; its weights are changed in place.
        layers: by name.
        chains: see `find_chains`.
        batches: calibration data, from which it is known which channels are quiet.
        strength: see `STRENGTH`.
    """
    largest: dict[str, Tensor] = {}

    def see(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            values = args[0].detach().float().abs().movedim(_channel_dim(module), 0).flatten(1).amax(1)
            largest[name] = torch.maximum(largest[name], values) if name in largest else values

        return hook

    handles = [layers[second].register_forward_pre_hook(see(second)) for _, second in chains]
    try:
        for _ in answers(model, batches):
            pass
    finally:
        for handle in handles:
            handle.remove()
    for first, second in chains:
        factor_c = (largest[second].amax() / largest[second]).nan_to_num(1.0).clamp(max=_MOST**2) ** strength
        _stretch(layers[first], layers[second], factor_c.clamp(1.0, _MOST))


def _stretch(first: Any, second: Any, factor_c: Tensor) -> None:
    factor_c = factor_c.to(first.weight.dtype)
    first.weight.mul_(factor_c.reshape(-1, *[1] * (first.weight.dim() - 1)))
    if first.bias is not None:
        first.bias.mul_(factor_c)
    depthwise = getattr(second, "groups", 1) > 1
    shape = (-1, 1) if depthwise else (1, -1)
    second.weight.div_(factor_c.reshape(*shape, *[1] * (second.weight.dim() - 2)))


def _weights(layers: Mapping[str, Any], names: Iterable[str]) -> list[Tensor]:
    return [layers[name].weight for name in names]


def _channel_dim(layer: nn.Module) -> int:
    return -1 if isinstance(layer, nn.Linear) else 1


def _scales_inputs(first: Any, second: Any) -> bool:
    """Whether the channels of one are those of the other, each of which has weights of its own there."""
    groups = getattr(second, "groups", 1)
    if isinstance(first, nn.Linear) != isinstance(second, nn.Linear):
        return False
    channels = second.in_features if isinstance(second, nn.Linear) else second.in_channels
    return len(first.weight) == channels and (groups == 1 or groups == channels == len(second.weight))


class _Watch(TorchFunctionMode):
    """Follows the outputs of layers through ReLUs to the layers that read them."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.kept: list[Tensor] = []  # alive, so that an id means one tensor
        self.made_by: dict[int, str] = {}
        self.after_relu: set[int] = set()
        self.entered: dict[str, list[int]] = {}
        self.reads: Counter[int] = Counter()
        self.inside = 0
        self.handles: list[Any] = []
        for name, layer in layers.items():
            self.handles.append(layer.register_forward_pre_hook(self._starts(name)))
            self.handles.append(layer.register_forward_hook(self._ends(name)))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.inside:
            return func(*args, **(kwargs or {}))
        source = args[0] if args and isinstance(args[0], Tensor) else None
        self.inside += func in _RELUS  # what a ReLU calls itself is no other reader
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            self.inside -= func in _RELUS
        if func in _RELUS and source is not None and id(source) in self.made_by:
            if result is not source:
                self.reads[id(source)] += 1
                self.kept.append(result)
                self.made_by[id(result)] = self.made_by[id(source)]
            self.after_relu.add(id(result))
        else:
            for tensor in _tensors((args, kwargs)):
                self.reads[id(tensor)] += 1
        return result

    def chains(self, output: Any) -> list[Chain]:
        """The pairs, given what the model returned."""
        returned = {id(tensor) for tensor in _tensors(output)}
        makers: Counter[str] = Counter(self.made_by[key] for key in self.after_relu)
        found = []
        for second, keys in self.entered.items():
            key = keys[0]
            first = self.made_by.get(key)
            if first is None or key not in self.after_relu or len(keys) > 1 or len(self.entered[first]) > 1:
                continue
            on_the_way = [each for each, name in self.made_by.items() if name == first]
            read_once = all(self.reads[each] == 1 and each not in returned for each in on_the_way)
            if read_once and makers[first] == 1:
                found.append((first, second))
        return found

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self.handles:
            handle.remove()

    def _starts(self, name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            self.reads[id(args[0])] += 1
            self.entered.setdefault(name, []).append(id(args[0]))
            self.inside += 1

        return hook

    def _ends(self, name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            self.inside -= 1
            self.kept.append(output)
            self.made_by[id(output)] = name

        return hook


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, list | tuple) else []
