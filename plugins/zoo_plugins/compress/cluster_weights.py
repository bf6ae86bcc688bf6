"""Weight clustering: the weights of a layer share a few values, and a file holds which one each has.

Han et al., Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman Coding,
ICLR 2016, https://arxiv.org/abs/1510.00149, section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zoo_plugins.compress.clustered import MOST, share_values, stored_bytes
from zoo_plugins.compress.cuts import CONVOLUTIONS, TRANSPOSED
from zoo_plugins.compress.record import fields, module_of_type, refuse
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

WHAT = "cluster_weights"
CLUSTERED = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
ITERATIONS = 50
"""Of k-means; it ends earlier when no value moves any more."""


def cluster_weights(
    model: nn.Module,
    context: CompressionContext,
    *,
    clusters: Annotated[int, Range(ge=2, le=MOST)] = 64,
    skip: list[str] | None = None,
    epochs: Annotated[int, Range(ge=0)] = 0,
    lr: Annotated[float, Range(gt=0)] = 1e-4,
) -> tuple[nn.Module, dict[str, Any]]:
    """Group the weights of each convolution and linear layer by k-means, and let each group share one value.

    In float32 the weights' part of the file gets a quarter as large, with up to 16 clusters an eighth. Multiply-adds
    and memory at run time stay as they are: weights are looked up before they are used. Training moves shared values.
    Zeros that pruning made stay zeros: they are a cluster of their own.

    Args:
        model: changed in place.
        context: trains, for `epochs`.
        clusters: values for each layer, 2 to 256.
        skip: patterns of names of layers that stay as they are.
        epochs: training of the shared values.
        lr: learning rate of that training.

    Returns:
        The model and the record: how many values each layer has, the layers that stayed with the reason.

    Raises:
        ParameterError: no layer would take fewer bytes.
        RunError: `epochs` without training data.

    Example:
        >>> layer = nn.Linear(32, 2, bias=False)
        >>> layer.weight.data = torch.tensor([[0.9, 1.1, 4.0, 6.0] * 8, [1.0] * 32])
        >>> clustered, record = cluster_weights(layer, None, clusters=2)
        >>> clustered.weight[:, :4].tolist()
        [[1.0, 1.0, 5.0, 5.0], [1.0, 1.0, 1.0, 1.0]]
    """
    layers, kept = _layers(model, clusters, skip or [])
    if not layers:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(kept.items())[:4])
        raise ParameterError(f"{WHAT} finds no layer to cluster{f': {reasons}' if reasons else ''}")
    for layer in layers.values():
        index, values = nearest_values(layer.weight.detach(), clusters)
        share_values(layer, index, values, len(values))
    if epochs:
        zeros = [layer.parametrizations.weight.original for layer in layers.values()]
        held = [(values, values.detach() == 0) for values in zeros]
        context.train(model, epochs=epochs, lr=lr, after_step=lambda: _erase(held))
        _erase(held)
    return model, {"layers": {name: _count(layer) for name, layer in layers.items()}, "kept": kept}


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Make the layers of a freshly built model look their weights up, ready for indices and values.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    layers, _ = fields(record, {"layers": Mapping, "kept": Mapping}, WHAT)
    for name, count in layers.items():
        layer = module_of_type(model, name, CLUSTERED, WHAT)
        if type(count) is not int or not 1 <= count <= MOST:
            raise refuse(WHAT, f"gives {name!r} {str(count)[:40]} values, which is not within 1..{MOST}")
        if hasattr(layer, "parametrizations"):
            raise refuse(WHAT, f"clusters {name!r} twice")
        index = torch.empty(layer.weight.shape, dtype=torch.uint8, device=layer.weight.device)
        share_values(layer, index if index.is_meta else index.zero_(), None, count)
    return model


def nearest_values(weight: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """K-means in one dimension, from values at equal distances between the least and the largest weight.

    Args:
        weight: of any shape.
        clusters: how many values at most.

    Returns:
        The index of each weight's value, of the weight's shape, and the values (N,) in the weight's type. If weights
        are zero the first value is, and only they have it.
    """
    flat = weight.double().flatten()
    nonzero = flat[flat != 0].sort().values
    has_zeros = len(nonzero) < len(flat)
    values = _centres(nonzero, clusters - has_zeros)
    edges = (values[1:] + values[:-1]) / 2
    index = torch.bucketize(flat, edges)
    if has_zeros:
        index = torch.where(flat == 0, 0, index + 1)
        values = torch.cat([values.new_zeros(1), values])
    return index.reshape(weight.shape), values.to(weight.dtype)


def _centres(ordered: Tensor, clusters: int) -> Tensor:
    """The centres of clusters of numbers in rising order, in rising order; as many as have members."""
    if not len(ordered):
        return ordered
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    centres = torch.linspace(
        float(ordered[0]), float(ordered[-1]), clusters, dtype=ordered.dtype, device=ordered.device
    )
    for _ in range(ITERATIONS):
        edges = torch.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2, right=True)
        bounds = torch.cat([edges.new_zeros(1), edges, edges.new_full((1,), len(ordered))])
        counts = bounds.diff()
        moved = (sums[bounds[1:]] - sums[bounds[:-1]])[counts > 0] / counts[counts > 0]
        if len(moved) == len(centres) and torch.equal(moved, centres):
            break
        centres = moved
    return centres


def _layers(model: nn.Module, clusters: int, skip: list[str]) -> tuple[dict[str, nn.Module], dict[str, str]]:
    owners = Counter(
        id(module._parameters["weight"]) for module in model.modules() if module._parameters.get("weight") is not None
    )
    layers, kept = {}, {}
    for name, layer in model.named_modules():
        if not isinstance(layer, CLUSTERED):
            continue
        if any(fnmatchcase(name, pattern) for pattern in skip):
            kept[name] = "`skip` keeps it"
        elif layer._parameters.get("weight") is None:
            kept[name] = "its weight is computed from something else"
        elif owners[id(layer.weight)] > 1:
            kept[name] = "it shares its weight with another layer"
        elif stored_bytes(layer.weight.numel(), clusters, layer.weight.element_size()) >= layer.weight.nbytes:
            kept[name] = f"it has too few weights for {clusters} clusters"
        else:
            layers[name] = layer
    return layers, kept


def _count(layer: nn.Module) -> int:
    return len(layer.parametrizations.weight.original)


def _erase(held: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for values, zeros in held:
            values.masked_fill_(zeros, 0)
