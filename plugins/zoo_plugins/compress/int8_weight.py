"""Layers that hold their weights as int8 and a scale for each output channel: a quarter of the bytes, in plain tensors.

Nothing here needs the library that did the rounding.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Mode = Literal["int8_dynamic", "int8_weight"]

CONVOLUTIONS: dict[type[nn.Module], Any] = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d}


class Int8WeightLinear(nn.Module):
    """A linear layer with int8 weights. For inference: what is rounded does not learn.

    Args:
        weight: (K, C) int8.
        scale: (K,) what a step of each row is worth.
        bias: (K,) or None.
        mode: `int8_dynamic` rounds each token to int8 too, by its own largest value, and multiplies in int8;
            `int8_weight` multiplies in the input's precision. Gradients are the weights' in both.
    """

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None, mode: Mode) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.mode = mode
        self.weight = nn.Parameter(weight, requires_grad=False)  # still numbers that were learnt, to be counted
        self.register_buffer("scale", scale)
        self.bias = None if bias is None else nn.Parameter(bias)

    def extra_repr(self) -> str:
        """Sizes and mode."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, {self.mode}"

    def forward(self, input: Tensor) -> Tensor:
        """(..., C) to (..., K)."""
        if self.mode == "int8_weight":
            return self._by_weight(input)
        answer = self._rounded(input)
        if torch.is_grad_enabled() and input.requires_grad and not torch.compiler.is_exporting():
            plain = self._by_weight(input)  # rounding passes no gradient, so that of the weights is taken
            answer = plain + (answer - plain).detach()
        return answer

    def _by_weight(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight.to(input.dtype) * self.scale[:, None].to(input.dtype), self.bias)

    def _rounded(self, input: Tensor) -> Tensor:
        rows = input.flatten(0, -2)
        step = rows.abs().amax(dim=1, keepdim=True).float().clamp(min=torch.finfo(torch.float32).tiny) / 127
        rounded = (rows / step).round().clamp(-128, 127)
        product = _product(rounded, self.weight).float() * step * self.scale.float()
        if self.bias is not None:
            product = product + self.bias.float()
        return product.to(input.dtype).unflatten(0, input.shape[:-1])


def _product(rows: Tensor, weight: Tensor) -> Tensor:
    """Whole numbers (N, C) times (K, C), in int8 where there is a kernel for it.

    Exporters know no such kernel: in floats the same numbers come out, up to a sum of 2**24 exactly.
    """
    exporting = torch.jit.is_tracing() or torch.compiler.is_exporting()  # type: ignore[no-untyped-call]
    aligned = not rows.is_cuda or (len(rows) > 16 and rows.shape[1] % 8 == 0 and len(weight) % 8 == 0)
    if exporting or not aligned or rows.is_meta:
        return F.linear(rows.float(), weight.float())
    return torch._int_mm(rows.to(torch.int8), weight.t())


class Int8WeightConvolution(nn.Module):
    """A convolution with int8 weights, in the precision of its input. For inference.

    Args:
        convolution: whose stride, padding, dilation and groups are taken.
        weight: (K, C / groups, ...) int8.
        scale: (K,) what a step of each output channel is worth.
    """

    def __init__(self, convolution: Any, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.kind = next(kind for kind in CONVOLUTIONS if isinstance(convolution, kind))
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"):
            setattr(self, name, getattr(convolution, name))
        self.weight = nn.Parameter(weight, requires_grad=False)  # still numbers that were learnt, to be counted
        self.register_buffer("scale", scale)
        self.bias = convolution.bias

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"

    def forward(self, input: Tensor) -> Tensor:
        """As the convolution."""
        scale = self.scale.to(input.dtype).reshape(-1, *[1] * (self.weight.dim() - 1))
        weight = self.weight.to(input.dtype) * scale
        convolved: Tensor = CONVOLUTIONS[self.kind](
            input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        return convolved


def with_int8_weight(layer: Any, weight: Tensor, scale: Tensor, mode: Mode) -> nn.Module:
    """The layer with these weights in place of its own.

    Args:
        layer: a linear layer or convolution.
        weight: int8, of the shape of the layer's.
        scale: one for each output channel.
        mode: of a linear layer.
    """
    made = (
        Int8WeightLinear(weight, scale, layer.bias, mode)
        if isinstance(layer, nn.Linear)
        else Int8WeightConvolution(layer, weight, scale)
    )
    return made.train(layer.training)
