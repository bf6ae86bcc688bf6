from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.zoo.runner.in_memory import BrightOrDark, recipe, same_weights, train
from zoo.runner.precision import autocast, backward_kernels, resolved, set_matrix_products
from zoo_registry.errors import RunError


def test_auto_precision_is_full_on_a_cpu():
    cpu = torch.device("cpu")
    assert [resolved(cpu, precision) for precision in ("auto", "fp32", "bf16", "fp16")] == [
        "fp32",
        "fp32",
        "bf16",
        "fp16",
    ]


def test_gradients_in_bfloat16_do_not_hold_what_lay_in_memory():
    """Of 64 channels oneDNN gave NaN here ten times of ten on a processor with AVX512-BF16."""
    cpu = torch.device("cpu")
    torch.manual_seed(0)
    convolution, clip = nn.Conv3d(64, 128, (3, 1, 1), padding=(1, 0, 0), bias=False), torch.randn(2, 64, 2, 8, 8)
    convolution(clip).square().mean().backward()
    exact = convolution.weight.grad
    for _ in range(5):
        convolution.zero_grad()
        with autocast(cpu, "bf16"):
            answer = convolution(clip)
        del_soon = [torch.full((size,), float("nan")) for size in (100, 1000, 10_000, 100_000) for _ in range(3)]
        del del_soon
        with backward_kernels(cpu, "bf16"):
            answer.float().square().mean().backward()
        assert torch.allclose(convolution.weight.grad, exact, rtol=0.05, atol=0.02 * float(exact.abs().max()))
    assert torch.backends.mkldnn.enabled


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(RunError, match="tf32 is a way of GPUs to compute, not of cpu"):
        set_matrix_products(torch.device("cpu"), "tf32")


def test_fp16_trains_with_scaled_gradients_as_fp32_does(tmp_path):
    """The loss of a 10-bit mantissa differs in the fourth digit; without scaling small gradients would be 0."""
    half, full = BrightOrDark(dropout=0.0), BrightOrDark(dropout=0.0)
    sgd = {"name": "sgd", "params": {"lr": 0.1}}
    train(tmp_path / "half", half, recipe(sgd, precision="fp16"))
    train(tmp_path / "full", full, recipe(sgd, precision="fp32"))
    for name, value in half.state.state_dict().items():
        assert torch.allclose(value.float(), full.state.state_dict()[name].float(), atol=2e-2), name
    assert not same_weights(half, full)


def test_the_scale_of_gradients_is_part_of_a_checkpoint(tmp_path):
    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    train(tmp_path / "undisturbed", undisturbed, recipe(precision="fp16", epochs=4))
    train(tmp_path / "run", BrightOrDark(), recipe(precision="fp16", epochs=2))
    train(tmp_path / "run", resumed, recipe(precision="fp16", epochs=4), resume=True)
    assert same_weights(undisturbed, resumed)
