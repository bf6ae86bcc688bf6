"""Weights that are looked up: a short index for each, and the few values that they share."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

MOST = 256
"""Values that an index of one byte can tell apart."""

PAIRED = 16
"""Up to so many values two indices share a byte."""


class Lookup(nn.Module):
    """The parametrisation of a weight by shared values: `weight[i] = values[index[i]]`.

    Values learn as any parameter, each by the gradients of all weights that share it (Han et al. 2016, section 3).
    Without gradients the weight is looked up once, not at every pass.

    Args:
        index: which value each weight has, (K, C, ...), of whole numbers.
        count: how many values there are.
    """

    def __init__(self, index: Tensor, count: int) -> None:
        super().__init__()
        self.shape, self.count = tuple(index.shape), count
        self.register_buffer("index", _packed(index.to(torch.uint8).flatten(), count))

    def forward(self, values: Tensor) -> Tensor:
        """Values (N,) to the weight."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or values.is_inference():
            return self._looked_up(values)
        made_of = (values.data_ptr(), values._version, self.index.data_ptr(), self.index._version, values.dtype)
        known = self.__dict__.get("_known")
        if known is None or known[0] != made_of or known[1] is not values:
            known = self.__dict__["_known"] = (made_of, values, self._looked_up(values))
        weight: Tensor = known[2]
        return weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The mean of the weights that share each value, (N,)."""
        indices = self._indices().flatten()
        sums = weight.new_zeros(self.count).index_add_(0, indices, weight.detach().flatten())
        counts = torch.zeros_like(sums).index_add_(0, indices, torch.ones_like(weight).flatten())
        return sums / counts.clamp(min=1)

    def _looked_up(self, values: Tensor) -> Tensor:
        return values.index_select(0, self._indices().flatten()).reshape(self.shape)  # every export format has that

    def _indices(self) -> Tensor:
        """(K, C, ...), int32."""
        index = self.index.int()
        if self.count <= PAIRED:
            index = torch.stack((index & 15, index >> 4), 1).flatten()[: prod(self.shape)]
        return index.clamp(max=self.count - 1).reshape(self.shape)  # a file may hold any byte

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_known"}


def share_values(layer: nn.Module, index: Tensor, values: Tensor | None, count: int) -> None:
    """Make a layer look its weight up, in place.

    Args:
        layer: has a parameter `weight`.
        index: of its shape.
        values: (N,); None for those that a state dict will bring.
        count: N.
    """
    register_parametrization(layer, "weight", Lookup(index, count))
    if values is not None:
        with torch.no_grad():
            layer.parametrizations.weight.original.copy_(values)


def stored_bytes(weights: int, count: int, each: int) -> int:
    """Bytes of so many clustered weights in a file, whose numbers have `each` bytes."""
    return (weights + 1) // 2 + count * each if count <= PAIRED else weights + count * each


def _packed(index: Tensor, count: int) -> Tensor:
    """(weights,), or half as many bytes with two indices each."""
    if count > PAIRED:
        return index
    even = torch.cat([index, index.new_zeros(len(index) % 2)]).reshape(-1, 2)
    return even[:, 0] | (even[:, 1] << 4)
