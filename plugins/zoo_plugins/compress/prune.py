"""Magnitude pruning: the smallest weights become zero and stay where they are.

Han et al., Learning both Weights and Connections for Efficient Neural Networks, NeurIPS 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from torch import nn
from torch.nn.utils import prune

from zoo_plugins.compress.record import fields, module_of_type, refuse
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

PRUNED = (nn.modules.conv._ConvNd, nn.Linear)  # quantised convolutions share only the first with ordinary ones


def prune_magnitude(
    model: nn.Module,
    context: CompressionContext,
    *,
    amount: Annotated[float, Range(ge=0, lt=1)],
    scope: Literal["global", "layer"] = "global",
) -> tuple[nn.Module, dict[str, Any]]:
    """Set the smallest weights of all convolutions and linear layers to zero, biases and norms excepted.

    Zeros in a dense tensor make neither the file smaller nor the model faster; a later stage, or a runtime with sparse
    kernels, has to make use of them.

    Args:
        model: changed in place.
        context: not used.
        amount: part of the weights that becomes zero, 0 to below 1.
        scope: `global` ranks the weights of all layers together, `layer` takes the same part of each.

    Returns:
        The model and the record: the part of zeros in each layer.

    Raises:
        ParameterError: the model has no convolution or linear layer.

    Example:
        >>> model = nn.Linear(10, 10)
        >>> _, record = prune_magnitude(model, None, amount=0.3)
        >>> record["sparsity"]
        {'': 0.3}
    """
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, PRUNED) and not hasattr(module, "parametrizations")  # whose weight is computed
    }
    if not layers:
        raise ParameterError("prune_magnitude found no convolution or linear layer in the model")
    if scope == "global":
        weights = [(layer, "weight") for layer in layers.values()]
        prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=amount)
    else:
        for layer in layers.values():
            prune.l1_unstructured(layer, "weight", amount=amount)
    for layer in layers.values():
        prune.remove(layer, "weight")
    sparsity = {
        name: round(1 - layer.weight.count_nonzero().item() / layer.weight.numel(), 6) for name, layer in layers.items()
    }
    return model, {"amount": amount, "scope": scope, "sparsity": sparsity}


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """The model as it is: zeros are values, and pruning changed no shape.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    what = "prune_magnitude"
    _, _, sparsity = fields(record, {"amount": (int, float), "scope": str, "sparsity": Mapping}, what)
    for name, part in sparsity.items():
        module_of_type(model, name, PRUNED, what)
        if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part <= 1:
            raise refuse(what, f"gives {name!r} a sparsity that is not within 0..1")
    return model
