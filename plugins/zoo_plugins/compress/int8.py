"""Layers of pytorch-quantization with a quantiser that runs, trains and exports with torch's own kernels.

The library's quantiser checks values in Python while it runs, so nothing can trace it, unless a switch is set for the
whole process; it calls `.cuda()` when weights are loaded into one without a range. `Int8` below does neither.

Import this module only when something is quantised: it imports pytorch_quantization.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo_plugins.compress.folding import computes_like
from zoo_plugins.compress.nvidia import QuantDescriptor, TensorQuantizer, quant_nn

LOWEST, HIGHEST = -128, 127
LAYERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: quant_nn.QuantConv1d,
    nn.Conv2d: quant_nn.QuantConv2d,
    nn.Conv3d: quant_nn.QuantConv3d,
    nn.Linear: quant_nn.QuantLinear,
}


class Int8(TensorQuantizer):
    """Rounds a tensor to 256 steps of a fixed range and back, symmetric around zero.

    Wu et al., Integer Quantization for Deep Learning Inference, 2020, section 3.1.2 (scale quantisation), on the full
    range -128..127.

    Args:
        amax: largest absolute value, which becomes 127: a scalar, or one per channel with the other dimensions 1.
        axis: dimension of the channels, None for one range of the whole tensor.
    """

    def __init__(self, amax: Tensor, axis: int | None) -> None:
        super().__init__(QuantDescriptor(num_bits=8, axis=axis))
        self._calibrator = None
        self.register_buffer("_amax", amax)

    def _quant_forward(self, inputs: Tensor) -> Tensor:
        values = inputs if inputs.dtype is torch.float32 else inputs.float()
        scale = self._amax.float() / HIGHEST
        if self._axis is None:
            zero = torch.zeros((), dtype=torch.int32, device=scale.device)
            rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero, LOWEST, HIGHEST)
        else:
            zeros = torch.zeros(self._amax.numel(), dtype=torch.int32, device=scale.device)
            rounded = torch.fake_quantize_per_channel_affine(
                values, scale.flatten(), zeros, self._axis, LOWEST, HIGHEST
            )
        return rounded if rounded.dtype is inputs.dtype else rounded.to(inputs.dtype)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        nn.Module._load_from_state_dict(self, *args, **kwargs)


def kind_of(layer: nn.Module) -> type[nn.Module] | None:
    """The layer of torch that this one computes the same as, if the library has a quantised twin of it.

    The twins know zero padding by numbers only. A subclass with a `forward` of its own may do anything with its weight.
    """
    if getattr(layer, "padding_mode", "zeros") != "zeros" or isinstance(getattr(layer, "padding", 0), str):
        return None
    return next((kind for kind in LAYERS if computes_like(layer, kind)), None)


def quantised(layer: nn.Module, input_amax: Tensor, weight_amax: Tensor) -> nn.Module:
    """The quantised twin of a layer, sharing its weight and bias."""
    kind = kind_of(layer)
    if kind is None:
        raise TypeError(f"a {type(layer).__name__} has no quantised twin")
    make: Any = LAYERS[kind]
    with torch.device("meta"):  # its own weights are never used, and must not draw random numbers
        if isinstance(layer, nn.Linear):
            twin = make(layer.in_features, layer.out_features, bias=layer.bias is not None)
        else:
            twin = make(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,
                stride=layer.stride,
                padding=layer.padding,
                dilation=layer.dilation,
                groups=layer.groups,
                bias=layer.bias is not None,
            )
    twin.weight, twin.bias = layer.weight, layer.bias
    twin._input_quantizer = Int8(input_amax, axis=None)
    twin._weight_quantizer = Int8(weight_amax, axis=0)
    return twin.train(layer.training)


def weight_range(weight: Tensor) -> Tensor:
    """Largest absolute value of each output channel, shaped to broadcast: (K, 1, ...)."""
    return weight.detach().abs().amax(dim=tuple(range(1, weight.dim())), keepdim=True)
