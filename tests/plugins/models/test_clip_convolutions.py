"""Convolutions by other kernels against `torch.nn.functional.conv3d`, answers and gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from zoo_plugins.video.convolution import convolution

KERNELS = {
    "cell": ((1, 1, 1), (1, 1, 1), 1),
    "cell, stepping": ((1, 1, 1), (2, 2, 2), 1),
    "time": ((3, 1, 1), (1, 1, 1), 1),
    "time, stepping": ((7, 1, 1), (4, 1, 1), 1),
    "time, depthwise": ((5, 1, 1), (1, 1, 1), 8),
    "frame": ((1, 3, 3), (1, 2, 2), 1),
    "frame, stepping over frames": ((1, 3, 3), (2, 2, 2), 1),
    "both": ((5, 7, 7), (1, 2, 2), 1),
    "both, stepping over frames": ((5, 7, 7), (2, 2, 2), 1),
    "both, depthwise": ((3, 3, 3), (1, 1, 1), 8),
    "both, depthwise, stepping": ((3, 3, 3), (1, 2, 2), 8),
    "both, depthwise, stepping over frames": ((3, 3, 3), (2, 2, 2), 8),
}


@pytest.fixture(params=[1, 2])
def threads(request):
    """torch itself chooses kernels by the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("frames", [1, 2, 6])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("kind", KERNELS)
def test_answers_and_gradients_are_those_of_conv3d(kind, memory_format, frames, threads):
    kernel, stride, groups = KERNELS[kind]
    torch.manual_seed(0)
    layer = convolution(8, 8, kernel, stride, groups=groups)
    clip = torch.randn(2, 8, frames, 9, 11).contiguous(memory_format=memory_format).requires_grad_()
    answer = layer(clip)
    padding = [size // 2 for size in kernel]
    expected = F.conv3d(clip, layer.weight, None, stride, padding, groups=groups)
    torch.testing.assert_close(answer, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(expected)
    ours = torch.autograd.grad((answer * weights).sum(), (clip, layer.weight))
    theirs = torch.autograd.grad((expected * weights).sum(), (clip, layer.weight))
    for own, native in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, native, rtol=1e-4, atol=1e-5 * float(native.abs().max()))


@pytest.mark.parametrize("kind", KERNELS)
def test_second_derivatives_are_right(kind):
    """Gradient penalties differentiate gradients."""
    kernel, stride, groups = KERNELS[kind]
    torch.manual_seed(0)
    layer = convolution(8, 8, kernel, stride, groups=groups).double()
    clip = torch.randn(1, 8, 3, 5, 5, dtype=torch.double, requires_grad=True)

    def penalty(answer):
        (slope,) = torch.autograd.grad(answer.square().sum(), clip, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), layer.weight)[0]

    padding = [size // 2 for size in kernel]
    torch.testing.assert_close(
        penalty(layer(clip)), penalty(F.conv3d(clip, layer.weight, None, stride, padding, groups=groups))
    )


@pytest.mark.parametrize("kind", KERNELS)
def test_a_bias_is_added(kind):
    """Folding norms into convolutions gives them one."""
    kernel, stride, groups = KERNELS[kind]
    layer = convolution(8, 8, kernel, stride, groups=groups)
    clip = torch.randn(1, 8, 3, 5, 5)
    without = layer(clip)
    layer.bias = torch.nn.Parameter(torch.arange(8.0))
    torch.testing.assert_close(layer(clip), without + torch.arange(8.0)[:, None, None, None])


@pytest.mark.parametrize("kind", KERNELS)
def test_bfloat16_is_computed_in_and_learnt_through(kind):
    kernel, stride, groups = KERNELS[kind]
    layer = convolution(8, 8, kernel, stride, groups=groups)
    clip = torch.randn(1, 8, 3, 5, 5, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answer = layer(clip)
    assert answer.dtype == torch.bfloat16
    answer.sum().backward()
    assert clip.grad.dtype == layer.weight.grad.dtype == torch.float32
