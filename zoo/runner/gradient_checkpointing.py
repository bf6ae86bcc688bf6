"""Less memory for more computing: layers whose insides are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn import Module
from torch.nn.modules.batchnorm import _NormBase

from zoo_registry.errors import Location, RecipeError


def enable_gradient_checkpointing(network: Module, *, where: Location | None = None) -> None:
    """Have a network keep only what enters each layer while it trains.

    Args:
        network: as its builder made it.
        where: place of the wish in the recipe.

    Raises:
        RecipeError: the network cannot do it.
    """
    enable = getattr(network, "set_grad_checkpointing", None)
    hint = "remove it; a smaller run.batch with run.accumulate takes less memory too"
    if not callable(enable):
        raise RecipeError("the model has no gradient checkpointing", where=where, hint=hint)
    try:
        enable(True)
    except (AssertionError, NotImplementedError, ValueError) as error:  # how networks of other libraries refuse it
        raise RecipeError(f"the model refuses gradient checkpointing: {error}", where=where, hint=hint) from error


@contextmanager
def statistics_kept(network: Module) -> Iterator[None]:
    """Norms compute with a batch's statistics and do not remember them: for forward passes that are a repetition.

    Without it every batch would count twice in the running statistics of layers that are computed again.
    """
    norms = [part for part in network.modules() if isinstance(part, _NormBase) and part.track_running_stats]
    remembered = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, remembered, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
