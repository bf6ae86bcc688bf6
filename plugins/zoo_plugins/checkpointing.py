"""Gradient checkpointing that leaves the statistics of batch norms as they would be without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpointed(layer: Callable[..., Any], *inputs: Any, parts: Sequence[nn.Module]) -> Any:
    """What a layer makes of its inputs, keeping only these for the backward pass, which runs the layer again.

    Args:
        layer: any function.
        *inputs: of it.
        parts: the modules that it runs.
    """
    if torch.compiler.is_compiling():  # the compiler repeats operations, not side effects
        return checkpoint(layer, *inputs, use_reentrant=False)
    contexts = lambda: (nullcontext(), _statistics_kept(parts))  # noqa: E731
    return checkpoint(layer, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(parts: Sequence[nn.Module]) -> Iterator[None]:
    """The second run must not count the batch again, and yet save the same tensors as the first.

    Norms whose count somebody took away meanwhile are kept by them.
    """
    modules = (module for part in parts for module in part.modules())
    norms = [module for module in modules if isinstance(module, _BatchNorm) and module.num_batches_tracked is not None]
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(batches)
