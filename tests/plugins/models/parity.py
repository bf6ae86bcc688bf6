"""Comparing a network with somebody else's implementation of it, with the same random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Convert = Callable[[Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]]


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with norms that do something: fresh ones scale by one, some by zero, and know no statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.weight.uniform_(0.5, 1.0, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network


def clip_of(frames: int, size: int, batch: int = 1, channels: int = 3) -> Tensor:
    """A random normalised clip (B, C, T, H, W)."""
    return torch.randn(batch, channels, frames, size, size, generator=torch.Generator().manual_seed(1))


def assert_same_answers(own: nn.Module, peer: nn.Module, convert: Convert, clip_bcthw: Tensor, given=None) -> None:
    """In eval mode, to 1e-5; `given` is what the peer takes where that is not the clip."""
    own.load_state_dict(convert(peer.state_dict(), own), strict=True)
    with torch.no_grad():
        ours, theirs = own.eval()(clip_bcthw), peer.eval()(clip_bcthw if given is None else given)
    assert ours.shape == theirs.shape
    assert 0.01 < theirs.std() < 10, "answers of no size show nothing"
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def assert_same_training(own: nn.Module, peer: nn.Module, convert: Convert, clip_bcthw: Tensor, given=None) -> None:
    """One step's loss, gradients and batch statistics in training mode.

    In double precision: with the few cells of small clips, norms and ReLUs make much of the last bits of floats.
    """
    own.load_state_dict(convert(peer.state_dict(), own), strict=True)
    own, peer, clip_bcthw = own.double().train(), peer.double().train(), clip_bcthw.double()
    inputs = clip_bcthw if given is None else given(clip_bcthw)
    target = torch.arange(len(clip_bcthw))
    losses = [nn.functional.cross_entropy(answers, target) for answers in (own(clip_bcthw), peer(inputs))]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-9, atol=1e-9)
    for loss in losses:
        loss.backward()
    gradients = convert({name: parameter.grad for name, parameter in peer.named_parameters()}, own)
    for name, parameter in own.named_parameters():
        largest = gradients[name].abs().max().item()
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=0, atol=1e-7 * (1 + largest), msg=name)
    statistics = convert(peer.state_dict(), own)
    for name, value in own.named_buffers():
        torch.testing.assert_close(value, statistics[name], rtol=1e-9, atol=1e-9, msg=name)
