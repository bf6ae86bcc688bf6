"""Gradient checkpointing that leaves the statistics of batch norms as they would be without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpointed(block: nn.Module, features: Tensor) -> Tensor:
    """What a block says about features, keeping only these for the backward pass, which runs the block again.

    Args:
        block: takes and gives one tensor.
        features: (B, ...).
    """
    if torch.compiler.is_compiling():  # the compiler repeats operations, not side effects
        output: Tensor = checkpoint(block, features, use_reentrant=False)
    else:
        contexts = lambda: (nullcontext(), _statistics_kept(block))  # noqa: E731
        output = checkpoint(block, features, use_reentrant=False, context_fn=contexts)
    return output


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """The second run must not count the batch again, and yet save the same tensors as the first."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(batches)
