"""What else a network has to go through: formats, precisions, tracing. Each check raises an AssertionError in words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.runner.precision import backward_kernels
from zoo.testing.network import seeded, tensors

LIMITS = ("export", "compile", "bf16", "channels_last", "batch1")
"""The checks that an entry's `limits` may except a model from."""


def check_export(network: nn.Module, example: Sequence[Tensor]) -> None:
    """`torch.export` gives a program with the network's answers."""
    with torch.no_grad():
        program = torch.export.export(network, tuple(example))
        _agree(network(*example), program.module()(*example), "the exported program")


def check_compile(network: nn.Module, example: Sequence[Tensor], *, backend: str = "inductor") -> None:
    """`torch.compile(fullgraph=True)` takes the network as one graph, which gives its answers."""
    with torch.no_grad():
        compiled = torch.compile(network, fullgraph=True, backend=backend)
        _agree(network(*example), compiled(*example), "the compiled network")


def check_bf16(network: nn.Module, example: Sequence[Tensor]) -> None:
    """Under bfloat16 autocast the answers stay near, and gradients are finite.

    Eight bits round each sum to 1 part in 256; a tenth of the answers' length is what many layers may add up to.
    """
    device = example[0].device.type
    with torch.no_grad():
        exact = _flat(network(*example))
        with torch.autocast(device, dtype=torch.bfloat16):
            rounded = _flat(network(*example))
    off = float((rounded - exact).norm() / exact.norm().clamp(min=1e-6))
    assert off < 0.1, f"under bfloat16 autocast the answers move by {off:.0%} of their length"
    with seeded(2), torch.autocast(device, dtype=torch.bfloat16):
        loss = _flat(network.train()(*example)).square().mean()
    with backward_kernels(example[0].device, "bf16"):
        loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    broken = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    assert not broken, f"under bfloat16 autocast the gradients of {broken} are not finite"


def check_channels_last(network: nn.Module, example: Sequence[Tensor]) -> None:
    """With weights and clips in channels-last order the answers are the same."""
    with torch.no_grad():
        expected = network(*example)
        for parameter in network.parameters():
            parameter.data = _channels_last(parameter.data)
        _agree(expected, network(*map(_channels_last, example)), "the network in channels-last order")


def check_batch1(network: nn.Module, example: Sequence[Tensor]) -> None:
    """A sample alone gets the answer that it gets among others."""
    with torch.no_grad():
        alone, together = network(*(tensor[:1] for tensor in example)), network(*example)
    first = [tensor[:1] for tensor in tensors(together)]
    _agree(first, list(tensors(alone)), "the network with a batch of one")


def _channels_last(tensor: Tensor) -> Tensor:
    """Convolution weights of pictures and clips, and clips; anything else as it is."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tensor.contiguous(memory_format=formats.get(tensor.ndim, torch.contiguous_format))


def _agree(expected: object, found: object, who: str) -> None:
    """Other kernels sum in another order; what differs by more than that is wrong."""
    for one, other in zip(tensors(expected), tensors(found), strict=True):
        torch.testing.assert_close(
            other, one, rtol=1e-3, atol=1e-4, msg=lambda text: f"{who} answers otherwise: {text}"
        )


def _flat(output: object) -> Tensor:
    return torch.cat([tensor.float().flatten() for tensor in tensors(output)])
