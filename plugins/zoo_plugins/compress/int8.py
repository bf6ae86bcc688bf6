"""Layers of pytorch-quantization with a quantiser that runs, trains and exports with torch's own kernels.

The library's quantiser checks values in Python while it runs, so nothing can trace it, unless a switch is set for the
whole process; it calls `.cuda()` when weights are loaded into one without a range. `Int8` below does neither.

Import this module only when something is quantised: it imports pytorch_quantization.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from zoo_plugins.compress.calibration import SMALLEST_RANGE
from zoo_plugins.compress.folding import computes_like
from zoo_plugins.compress.nvidia import QuantDescriptor, TensorQuantizer, quant_nn

SIGNED, UNSIGNED = (-128, 127), (0, 255)
"""First and last step, with negative values and without."""


class Int8(TensorQuantizer):
    """Rounds a tensor to 256 steps of a fixed range and back; zero stays zero.

    Wu et al., Integer Quantization for Deep Learning Inference, 2020, section 3.1.2 (scale quantisation), on the full
    range -128..127, or 0..255 for what is never negative, such as everything after a ReLU.

    Gradients pass where values lie within the range, and are zero beyond (straight-through estimation). A learnt range
    gets those of Esser et al., Learned Step Size Quantization, ICLR 2020, equation 3, scaled as in their section 2.2.

    Args:
        amax: largest absolute value, which becomes 127 or 255: a scalar, or one per channel with the other
            dimensions 1.
        axis: dimension of the channels, None for one range of the whole tensor.
        signed: whether there are negative values.
        learnt: the range is a parameter, and training moves it; of a whole tensor only.
    """

    def __init__(self, amax: Tensor, axis: int | None, *, signed: bool = True, learnt: bool = False) -> None:
        super().__init__(QuantDescriptor(num_bits=8, axis=axis, unsigned=not signed))
        self._calibrator = None
        if learnt:
            self.register_parameter("_amax", nn.Parameter(amax))
        else:
            self.register_buffer("_amax", amax)

    def follow(self, weight: Tensor) -> None:
        """Set the range to what a weight is now, so that training can make it larger without clipping it."""
        self._amax.copy_(weight_range(weight).clamp(min=SMALLEST_RANGE))

    def _quant_forward(self, inputs: Tensor) -> Tensor:
        values = inputs if inputs.dtype is torch.float32 else inputs.float()
        lowest, highest = UNSIGNED if self._unsigned else SIGNED
        amax = self._amax.float()
        if self.training and amax.requires_grad:
            rounded = _in_learnt_range(values, amax.clamp(min=SMALLEST_RANGE), lowest, highest)
        elif self._axis is None:
            zero = torch.zeros((), dtype=torch.int32, device=amax.device)
            rounded = torch.fake_quantize_per_tensor_affine(values, amax.detach() / highest, zero, lowest, highest)
        else:
            zeros = torch.zeros(amax.numel(), dtype=torch.int32, device=amax.device)
            rounded = torch.fake_quantize_per_channel_affine(
                values, amax.flatten() / highest, zeros, self._axis, lowest, highest
            )
        return rounded if rounded.dtype is inputs.dtype else rounded.to(inputs.dtype)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        nn.Module._load_from_state_dict(self, *args, **kwargs)


def _in_learnt_range(values: Tensor, amax: Tensor, lowest: int, highest: int) -> Tensor:
    """Round such that the range gets the gradient of LSQ.

    Their g = 1 / sqrt(N * highest), N values of a sample, is for a learnt step, the range divided by `highest`: a range
    that is to move as fast in proportion needs the square of that besides.
    """
    part = highest**2 / math.sqrt(values[0].numel() * highest)
    scale = (amax * part + (amax * (1 - part)).detach()) / highest
    steps = (values / scale).clamp(lowest, highest)
    return (steps + (steps.round() - steps).detach()) * scale


class _FollowsItsWeight:
    """A layer in which the range of the weight is that of the weight: at every training step, and after the last."""

    def train(self: Any, mode: bool = True) -> Any:
        if self.training and not mode:
            self._weight_quantizer.follow(self.weight.detach())
        return super().train(mode)  # type: ignore[misc]

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.training:
            self._weight_quantizer.follow(self.weight.detach())
        return super().forward(*args, **kwargs)  # type: ignore[misc]


class Int8Conv1d(_FollowsItsWeight, quant_nn.QuantConv1d):
    """`torch.nn.Conv1d` in simulated int8."""


class Int8Conv2d(_FollowsItsWeight, quant_nn.QuantConv2d):
    """`torch.nn.Conv2d` in simulated int8."""


class Int8Conv3d(_FollowsItsWeight, quant_nn.QuantConv3d):
    """`torch.nn.Conv3d` in simulated int8."""


class Int8Linear(_FollowsItsWeight, quant_nn.QuantLinear):
    """`torch.nn.Linear` in simulated int8."""


LAYERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: Int8Conv1d,
    nn.Conv2d: Int8Conv2d,
    nn.Conv3d: Int8Conv3d,
    nn.Linear: Int8Linear,
}


def kind_of(layer: nn.Module) -> type[nn.Module] | None:
    """The layer of torch that this one computes the same as, if the library has a quantised twin of it.

    The twins know zero padding by numbers only. A subclass with a `forward` of its own may do anything with its weight,
    and a parametrised weight is computed from something else.
    """
    if hasattr(layer, "parametrizations"):
        return None
    if getattr(layer, "padding_mode", "zeros") != "zeros" or isinstance(getattr(layer, "padding", 0), str):
        return None
    return next((kind for kind in LAYERS if computes_like(layer, kind)), None)


def quantised(
    layer: nn.Module, input_amax: Tensor, weight_amax: Tensor, *, signed: bool = True, learnt: bool = False
) -> nn.Module:
    """The quantised twin of a layer, sharing its weight and bias; `signed` and `learnt` are of its input."""
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
    twin._input_quantizer = Int8(input_amax, axis=None, signed=signed, learnt=learnt)
    twin._weight_quantizer = Int8(weight_amax, axis=0)
    return twin.train(layer.training)


def weight_range(weight: Tensor) -> Tensor:
    """Largest absolute value of each output channel, shaped to broadcast: (K, 1, ...)."""
    return weight.detach().abs().amax(dim=tuple(range(1, weight.dim())), keepdim=True)


def switch(layer: nn.Module, on: bool) -> None:
    """Round in a quantised twin, or let it compute in float."""
    for quantiser in (layer._input_quantizer, layer._weight_quantizer):
        quantiser._disabled = not on
