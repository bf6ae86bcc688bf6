"""N:M pruning: of every M weights in a row along the input channels, at most N are left.

Mishra et al., Accelerating Sparse Deep Neural Networks, 2021, https://arxiv.org/abs/2104.08378: GPUs from the Ampere
generation on skip the zeros of the pattern 2:4 in half-precision matrix products.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zoo_plugins.compress.cuts import CONVOLUTIONS
from zoo_plugins.compress.folding import replace
from zoo_plugins.compress.record import fields, module_of_type, refuse
from zoo_plugins.compress.sparse_linear import SparseLinear
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

WHAT = "prune_n_m"
PRUNED = (*CONVOLUTIONS, nn.Linear)


def prune_n_m(
    model: nn.Module,
    context: CompressionContext,
    *,
    n: Annotated[int, Range(ge=1)] = 2,
    m: Annotated[int, Range(ge=2)] = 4,
    skip: list[str] | None = None,
    epochs: Annotated[int, Range(ge=0)] = 0,
    lr: Annotated[float, Range(gt=0)] = 1e-3,
    sparse_kernels: bool = False,
) -> tuple[nn.Module, dict[str, Any]]:
    """Set all but the n largest of every m weights along the input channels to zero, and keep them so while training.

    The file does not shrink and a CPU gains nothing: zeros are stored and multiplied like any number. What gains is a
    GPU with kernels for 2:4 and a runtime that uses them: TensorRT, or here `sparse_kernels`.

    Args:
        model: changed in place.
        context: trains, for `epochs`.
        n: weights that stay of each m.
        m: length of a run of weights; layers whose input channels are no multiple of it stay as they are.
        skip: patterns of names of layers that stay as they are.
        epochs: training with the zeros held.
        lr: learning rate of that training.
        sparse_kernels: linear layers use torch's 2:4 kernels where they run in half precision, without gradients, on a
            GPU that has them; elsewhere they compute as before. The file is the same.

    Returns:
        The model and the record: n, m, the layers that were pruned, those that stayed with the reason.

    Raises:
        ParameterError: n is not below m, no layer is left to prune, or sparse kernels for another pattern than 2:4.
        RunError: `epochs` without training data.

    Example:
        >>> layer = nn.Linear(4, 1, bias=False)
        >>> layer.weight.data = torch.tensor([[0.1, -3.0, 2.0, 0.5]])
        >>> prune_n_m(layer, None)[0].weight.tolist()
        [[0.0, -3.0, 2.0, 0.0]]
    """
    if n >= m:
        raise ParameterError(f"{WHAT} keeps n of every m weights: n={n} is not below m={m}", hint="such as n: 2, m: 4")
    if sparse_kernels and (n, m) != (2, 4):
        raise ParameterError(f"{WHAT}: there are sparse kernels for 2:4 only, not for {n}:{m}")
    layers, kept = _layers(model, m, skip or [])
    if not layers:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(kept.items())[:4])
        raise ParameterError(f"{WHAT} finds no layer to prune{f': {reasons}' if reasons else ''}")
    masks = {layer: largest(layer.weight.detach(), n, m) for layer in layers.values()}

    def hold() -> None:
        with torch.no_grad():
            for layer, mask in masks.items():
                layer.weight.mul_(mask)

    hold()
    if epochs:
        context.train(model, epochs=epochs, lr=lr, after_step=hold)
        hold()  # training ends with the best weights, which may be those from before a step
    if sparse_kernels:
        model = _with_sparse_kernels(model, layers)
    record = {"n": n, "m": m, "layers": list(layers), "kept": kept, "sparse_kernels": sparse_kernels}
    return model, record


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """The model as it is, zeros being values; with layers that know sparse kernels where the record says so.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    kinds = {"n": int, "m": int, "layers": list, "kept": Mapping, "sparse_kernels": bool}
    n, m, names, _, sparse_kernels = fields(record, kinds, WHAT)
    if not 1 <= n < m or (sparse_kernels and (n, m) != (2, 4)):
        raise refuse(WHAT, f"has the pattern {n}:{m}")
    layers = {name: module_of_type(model, name, PRUNED, WHAT) for name in names}
    wrong = [name for name, layer in layers.items() if layer.weight.shape[1] % m]
    if wrong:
        raise refuse(WHAT, f"prunes {wrong[0]!r}, whose input channels are no multiple of {m}")
    return _with_sparse_kernels(model, layers) if sparse_kernels else model


def largest(weight: Tensor, n: int, m: int) -> Tensor:
    """Ones where a weight is among the n largest of its m in a row along dimension 1, zeros elsewhere.

    Args:
        weight: (K, C, ...), C a multiple of m.
        n: how many stay.
        m: of how many.
    """
    runs = weight.abs().unflatten(1, (-1, m))
    kept = torch.zeros_like(runs).scatter_(2, runs.topk(n, dim=2).indices, 1)
    return kept.flatten(1, 2)


def _layers(model: nn.Module, m: int, skip: list[str]) -> tuple[dict[str, nn.Module], dict[str, str]]:
    layers, kept = {}, {}
    for name, layer in model.named_modules():
        if not isinstance(layer, PRUNED):
            continue
        if any(fnmatchcase(name, pattern) for pattern in skip):
            kept[name] = "`skip` keeps it"
        elif hasattr(layer, "parametrizations"):
            kept[name] = "its weight is computed from something else"
        elif layer.weight.shape[1] % m:
            kept[name] = f"its {layer.weight.shape[1]} input channels (of a group) are no multiple of {m}"
        else:
            layers[name] = layer
    return layers, kept


def _with_sparse_kernels(model: nn.Module, layers: Mapping[str, nn.Module]) -> nn.Module:
    for layer in layers.values():
        if type(layer) is nn.Linear:
            model = replace(model, layer, SparseLinear.like(layer))
    return model
