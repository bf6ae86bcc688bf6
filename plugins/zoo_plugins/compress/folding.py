"""Folds batch norms into the convolutions before them, so that both cost one pass and share one range of values.

Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018,
section 3.2: at inference a batch norm is a scale and a shift per channel, which the convolution's weight and bias can
carry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from zoo_plugins.compress.record import module_of_type, refuse

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

_STEPS = ("forward", "_conv_forward")

Pair = tuple[str, str]
"""Names of a convolution and of the batch norm that follows it."""


def find_pairs(model: nn.Module, example: Sequence[Tensor]) -> list[Pair]:
    """Which batch norms are fed by exactly one convolution whose output nothing else reads.

    Found by running the model once and watching its tensors: works for any control flow, needs no tracing.

    Args:
        model: in eval mode.
        example: its inputs; one sample is enough.
    """
    watch = _Watch(model)
    try:
        with torch.no_grad(), watch:
            output = model(*example)
    finally:
        watch.remove()
    return watch.pairs(output)


def fold(model: nn.Module, pairs: Sequence[Pair]) -> nn.Module:
    """Fold each pair's batch norm into its convolution; an identity takes the batch norm's place."""
    for convolution_name, norm_name in pairs:
        convolution, norm = model.get_submodule(convolution_name), model.get_submodule(norm_name)
        replace(model, convolution, fuse_conv_bn_eval(convolution, norm))
        replace(model, norm, nn.Identity())
    return model


def refold(model: nn.Module, pairs: Sequence[Any], what: str) -> nn.Module:
    """Give a freshly built model the structure of a folded one; values come with the state dict.

    Raises:
        ArtefactError: `pairs` do not fit the model.
    """
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise refuse(what, "has a folded pair that is not [convolution, batch norm]")
        convolution = module_of_type(model, pair[0], CONVOLUTIONS, what)
        norm = module_of_type(model, pair[1], NORMS, what)
        if norm.num_features != convolution.out_channels:
            raise refuse(what, f"folds {pair[1]!r} into {pair[0]!r}, whose channels differ")
        if convolution.bias is None:
            convolution.bias = nn.Parameter(convolution.weight.new_empty(convolution.out_channels))
        replace(model, norm, nn.Identity())
    return model


def replace(model: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Put a module in another's place, wherever the model holds it. Returns the model, or `new` if `old` was it."""
    if old is model:
        return new
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)
    return model


def computes_like(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether a module computes what one of these types does.

    That is so where no subclass changed what is computed, or where it says `computes_like = nn.Conv3d`: the same
    numbers, up to rounding, by other kernels.
    """
    return any(
        isinstance(module, kind)
        and (
            getattr(type(module), "computes_like", None) is kind
            or all(getattr(type(module), name, None) is getattr(kind, name, None) for name in _STEPS)
        )
        for kind in kinds
    )


class _Watch(TorchFunctionMode):
    """Counts who reads the outputs of convolutions during one forward pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.names = {module: name for name, module in model.named_modules()}
        self.outputs: list[tuple[nn.Module, Tensor]] = []  # kept alive, so that an id means one tensor
        self.reads: Counter[int] = Counter()
        self.readers: dict[int, list[nn.Module]] = {}
        self.calls: Counter[nn.Module] = Counter()
        self.handles = []
        for module in self.names:
            if computes_like(module, *CONVOLUTIONS):
                self.handles.append(module.register_forward_hook(self._convolved))
            if computes_like(module, *NORMS) and module.track_running_stats:
                self.handles.append(module.register_forward_pre_hook(self._norm_starts))
                self.handles.append(module.register_forward_hook(self._norm_ends))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors((args, kwargs)):
            self.reads[id(tensor)] += 1
        return func(*args, **(kwargs or {}))

    def pairs(self, output: Any) -> list[Pair]:
        """The pairs that can be folded, given what the model returned."""
        returned = {id(tensor) for tensor in _tensors(output)}
        found = []
        for convolution, tensor in self.outputs:
            readers = self.readers.get(id(tensor), [])
            alone = len(readers) == 1 and self.reads[id(tensor)] == 0 and id(tensor) not in returned
            if alone and self.calls[convolution] == self.calls[readers[0]] == 1:
                found.append((self.names[convolution], self.names[readers[0]]))
        return found

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self.handles:
            handle.remove()

    def _convolved(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self.calls[module] += 1
        self.outputs.append((module, output))
        self.reads[id(output)] = 0

    def _norm_starts(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.calls[module] += 1
        self.readers.setdefault(id(args[0]), []).append(module)
        self.reads_before = self.reads[id(args[0])]

    def _norm_ends(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        self.reads[id(args[0])] = self.reads_before  # the batch norm's own reads are in `readers`


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, list | tuple) else []
