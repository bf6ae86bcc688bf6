"""Convolutions over clips (B, C, T, H, W): odd kernels, padded so that stride 1 keeps the size, without bias."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size3 = tuple[int, int, int]
"""(T, H, W)."""


def convolution(in_channels: int, out_channels: int, kernel: Size3 = (1, 1, 1), stride: Size3 = (1, 1, 1)) -> nn.Conv3d:
    """A dense convolution."""
    return nn.Conv3d(in_channels, out_channels, kernel, stride, _padding(kernel), bias=False)


def temporal_then_spatial(channels: int, stride: Size3) -> nn.Sequential:
    """3x3x3 as 3x1x1 and 1x3x3 with norm and ReLU between them (Tran et al. 2018, R(2+1)D), equally wide."""
    time, height, width = stride
    return nn.Sequential(
        OrderedDict(
            temporal=convolution(channels, channels, (3, 1, 1), (time, 1, 1)),
            norm=nn.BatchNorm3d(channels),
            act=nn.ReLU(inplace=True),
            spatial=convolution(channels, channels, (1, 3, 3), (1, height, width)),
        )
    )


class DepthwiseConv3d(nn.Conv3d):
    """A convolution of every channel by itself.

    On CPUs its gradients are computed with operations that oneDNN has fast kernels for, 5 to 20 times as fast as the
    gradients of `torch.nn.Conv3d` with groups (`tests/benchmarks/bench_models.py`). Inputs in `channels_last_3d` are
    several times as fast as contiguous ones.

    Args:
        channels: C.
        kernel, stride: (T, H, W), the kernel odd.
    """

    def __init__(self, channels: int, kernel: Size3 = (3, 3, 3), stride: Size3 = (1, 1, 1)) -> None:
        super().__init__(channels, channels, kernel, stride, _padding(kernel), groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, C, T', H', W')."""
        learns = torch.is_grad_enabled() and (input.requires_grad or self.weight.requires_grad)
        if not learns or input.device.type != "cpu":
            return super().forward(input)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            input, weight = (each.to(torch.get_autocast_dtype("cpu")) for each in (input, weight))
        output: Tensor = _Depthwise.apply(input, weight, self.stride)
        return output


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution with gradients made of a convolution with the mirrored kernel, and of 2-D gradients."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: Size3) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride = stride
        return F.conv3d(input, weight, None, stride, _padding(weight.shape[2:]), groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        input, weight = ctx.saved_tensors
        if input.is_contiguous(memory_format=torch.channels_last_3d):
            gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
        of_input = _input_gradient(gradient, input, weight, ctx.stride) if ctx.needs_input_grad[0] else None
        of_weight = _weight_gradient(gradient, input, weight, ctx.stride) if ctx.needs_input_grad[1] else None
        return of_input, of_weight, None


def _input_gradient(gradient: Tensor, input: Tensor, weight: Tensor, stride: Size3) -> Tensor:
    """The gradient, with zeros where the stride skipped, under the mirrored kernel."""
    if max(stride) > 1:
        time, height, width = stride
        spread = torch.zeros_like(input)
        spread[:, :, ::time, ::height, ::width] = gradient
        gradient = spread
    return F.conv3d(gradient, weight.flip(2, 3, 4), None, 1, _padding(weight.shape[2:]), groups=len(weight))


def _weight_gradient(gradient: Tensor, input: Tensor, weight: Tensor, stride: Size3) -> Tensor:
    """Slice by slice of the kernel along time, each as the gradient of a 2-D convolution over the frames it met."""
    time, *plane = stride
    before = weight.shape[2] // 2
    slices = []
    for tap in range(weight.shape[2]):
        first = max(0, -((tap - before) // time))
        last = min(gradient.shape[2] - 1, (input.shape[2] - 1 + before - tap) // time)
        if last < first:
            slices.append(torch.zeros_like(weight[:, :, tap]))
            continue
        start = first * time + tap - before
        met = input[:, :, start : last * time + tap - before + 1 : time]
        reached = gradient[:, :, first : last + 1]
        slices.append(_plane_gradient(_frames(reached), _frames(met), weight[:, :, tap], plane))
    return torch.stack(slices, 2)


def _plane_gradient(gradient: Tensor, frames: Tensor, weight: Tensor, stride: list[int]) -> Tensor:
    """Of the weight of a depthwise 2-D convolution."""
    padding = [size // 2 for size in weight.shape[2:]]
    of_weight: Tensor = torch.ops.aten.convolution_backward(
        gradient, frames, weight, None, stride, padding, [1, 1], False, [0, 0], len(weight), [False, True, False]
    )[1]
    return of_weight


def _frames(clip_bcthw: Tensor) -> Tensor:
    """(B * T, C, H, W)."""
    return clip_bcthw.transpose(1, 2).flatten(0, 1)


def _padding(kernel: Size3 | torch.Size) -> Size3:
    time, height, width = kernel
    return time // 2, height // 2, width // 2
