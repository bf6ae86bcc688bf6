"""Convolutions over clips by the kernels that are fastest on CPUs, with the results of `torch.nn.functional.conv3d`.

oneDNN has fast kernels for 2-D and for most 3-D convolutions, but not for all, nor for all gradients: torch then copies
the clip into a matrix, or takes a reference loop. `tests/benchmarks/bench_models.py` measures whole networks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Size3 = tuple[int, int, int]
"""(T, H, W)."""

CELLS_LAST = torch.channels_last_3d


def convolve(input: Tensor, weight: Tensor, bias: Tensor | None, stride: Size3, groups: int) -> Tensor:
    """A convolution with an odd kernel, padded by half of it.

    Args:
        input: (B, C, T, H, W) on a CPU.
        weight: (D, C / groups, t, h, w).
        bias: (D,) or none.
        stride: (T, H, W).
        groups: as in `conv3d`.
    """
    time, height, width = weight.shape[2:]
    in_time, in_space = time > 1, max(height, width) > 1
    if in_time and not in_space and stride[1:] == (1, 1):
        return _along_time(input, weight, bias, stride[0], groups)
    if input.is_contiguous(memory_format=CELLS_LAST):
        if in_space and not in_time and stride[0] == 1:
            return _frame_by_frame(input, weight, bias, stride, groups)
        if not in_space and not in_time and groups == 1:
            return _cell_by_cell(input, weight, bias, stride)
    if in_time and in_space and torch.is_grad_enabled() and weight.requires_grad:
        if torch.is_autocast_enabled("cpu"):
            input, weight = (each.to(torch.get_autocast_dtype("cpu")) for each in (input, weight))
        output: Tensor = _TapByTap.apply(input, weight, stride, groups)
        return output if bias is None else output + bias[:, None, None, None].to(output.dtype)
    return F.conv3d(input, weight, bias, stride, _padding(weight), groups=groups)


def _along_time(input: Tensor, weight: Tensor, bias: Tensor | None, stride: int, groups: int) -> Tensor:
    """Kernels of one pixel: a picture of T rows, each with all the frame's pixels."""
    pictures = input.permute(0, 2, 3, 4, 1).flatten(2, 3).permute(0, 3, 1, 2)
    padding = (weight.shape[2] // 2, 0)
    output = F.conv2d(pictures, weight.flatten(3), bias, (stride, 1), padding, groups=groups)
    return output.unflatten(3, input.shape[3:])


def _frame_by_frame(input: Tensor, weight: Tensor, bias: Tensor | None, stride: Size3, groups: int) -> Tensor:
    """Kernels of one frame: B * T pictures, which is no copy when channels come last."""
    pictures = input.permute(0, 2, 3, 4, 1).flatten(0, 1).permute(0, 3, 1, 2)
    output = F.conv2d(pictures, weight[:, :, 0], bias, stride[1:], _padding(weight)[1:], groups=groups)
    return output.permute(0, 2, 3, 1).unflatten(0, (len(input), input.shape[2])).permute(0, 4, 1, 2, 3)


def _cell_by_cell(input: Tensor, weight: Tensor, bias: Tensor | None, stride: Size3) -> Tensor:
    """Kernels of one pixel of one frame: a matrix product."""
    if max(stride) > 1:
        time, height, width = stride
        input = input[:, :, ::time, ::height, ::width]
    return F.linear(input.permute(0, 2, 3, 4, 1), weight.flatten(1), bias).permute(0, 4, 1, 2, 3)


class _TapByTap(torch.autograd.Function):
    """Kernels in time and space: the gradient of each time step of the kernel as that of a 2-D convolution.

    The gradient of the input, where every channel is by itself, is a convolution with the mirrored kernel.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: Size3, groups: int) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.groups = stride, groups
        return F.conv3d(input, weight, None, stride, _padding(weight), groups=groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        input, weight = ctx.saved_tensors
        if input.is_contiguous(memory_format=CELLS_LAST):
            gradient = gradient.contiguous(memory_format=CELLS_LAST)
        of_input = of_weight = None
        if ctx.needs_input_grad[0]:
            depthwise = ctx.groups == input.shape[1] == len(weight)
            of_input = (_mirrored if depthwise else _native)(gradient, input, weight, ctx.stride, ctx.groups)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(gradient, input, weight, ctx.stride, ctx.groups)
        return of_input, of_weight, None, None


def _native(gradient: Tensor, input: Tensor, weight: Tensor, stride: Size3, groups: int) -> Tensor:
    return _gradients(gradient, input, weight, stride, groups, (True, False))[0]


def _mirrored(gradient: Tensor, input: Tensor, weight: Tensor, stride: Size3, groups: int) -> Tensor:
    """The gradient, with zeros where the stride skipped, under the mirrored kernel."""
    if max(stride) > 1:
        time, height, width = stride
        spread = torch.zeros_like(input)
        spread[:, :, ::time, ::height, ::width] = gradient
        gradient = spread
    return F.conv3d(gradient, weight.flip(2, 3, 4), None, 1, _padding(weight), groups=groups)


def _weight_gradient(gradient: Tensor, input: Tensor, weight: Tensor, stride: Size3, groups: int) -> Tensor:
    """Each time step of the kernel over the frames that it met."""
    before = weight.shape[2] // 2
    slices = []
    for tap in range(weight.shape[2]):
        first = max(0, -((tap - before) // stride[0]))
        last = min(gradient.shape[2] - 1, (input.shape[2] - 1 + before - tap) // stride[0])
        if last < first:
            slices.append(torch.zeros_like(weight[:, :, tap]))
            continue
        start = first * stride[0] + tap - before
        met = input[:, :, start : last * stride[0] + tap - before + 1 : stride[0]]
        reached = gradient[:, :, first : last + 1]
        slices.append(
            _gradients(_frames(reached), _frames(met), weight[:, :, tap], stride[1:], groups, (False, True))[1]
        )
    return torch.stack(slices, 2)


def _gradients(
    gradient: Tensor, input: Tensor, weight: Tensor, stride: tuple[int, ...], groups: int, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Of input and weight, by torch's own kernels."""
    padding = [size // 2 for size in weight.shape[2:]]
    ones, zeros = [1] * len(padding), [0] * len(padding)
    of_input, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, input, weight, None, list(stride), padding, ones, False, zeros, groups, [*wanted, False]
    )
    return of_input, of_weight


def _frames(clip_bcthw: Tensor) -> Tensor:
    """(B * T, C, H, W)."""
    return clip_bcthw.transpose(1, 2).flatten(0, 1)


def _padding(weight: Tensor) -> Size3:
    time, height, width = weight.shape[2:]
    return time // 2, height // 2, width // 2
