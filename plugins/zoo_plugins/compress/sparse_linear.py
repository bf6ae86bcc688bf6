"""A linear layer that computes with a GPU's 2:4 kernels where it can, and as any other where it cannot."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LOG = logging.getLogger(__name__)
_AMPERE = (8, 0)


class SparseLinear(nn.Linear):
    """`torch.nn.Linear` whose weight has at most two numbers in every four along its inputs.

    The weight stays dense, in memory and in files. In half precision, without gradients, on a GPU from Ampere on, it is
    packed once for `torch.sparse.to_sparse_semi_structured`; a weight that has changed is packed anew.
    """

    @classmethod
    def like(cls, layer: nn.Linear) -> SparseLinear:
        """This layer in place of another, with its weight and bias."""
        with torch.device("meta"):
            sparse = cls(layer.in_features, layer.out_features, bias=layer.bias is not None)
        sparse.weight, sparse.bias = layer.weight, layer.bias
        return sparse.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        """(..., C) to (..., D)."""
        dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else self.weight.dtype
        packed = self._packed_as(dtype) if self._can(dtype) else None
        if packed is None:
            return super().forward(input)
        rows = F.linear(input.to(dtype).flatten(0, -2), packed, None if self.bias is None else self.bias.to(dtype))
        return rows.unflatten(0, input.shape[:-1])

    def _can(self, dtype: torch.dtype) -> bool:
        return (
            self.weight.is_cuda
            and dtype in (torch.float16, torch.bfloat16)
            and not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and torch.cuda.get_device_capability(self.weight.device) >= _AMPERE
        )

    def _packed_as(self, dtype: torch.dtype) -> Any:
        """The packed weight, or None where torch's kernels do not take its shape."""
        made_of = (self.weight.data_ptr(), self.weight._version, dtype)
        if self.__dict__.get("_made_of") != made_of:
            try:
                packed = torch.sparse.to_sparse_semi_structured(self.weight.detach().to(dtype))
            except (RuntimeError, ValueError, NotImplementedError) as error:
                _LOG.info("a linear layer %s stays dense: %s", tuple(self.weight.shape), error)
                packed = None
            self.__dict__.update(_packed=packed, _made_of=made_of)
        return self.__dict__["_packed"]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_packed", "_made_of")}
