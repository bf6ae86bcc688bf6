"""`torch.compile` on a network, whole or layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn import Module

from zoo.network_stages import parts_of, stages_of
from zoo.recipe.schema import CompileSlot
from zoo_registry.errors import RunError
from zoo_registry.protocols import StagedNetwork

FROM_EQUAL_LAYERS = 4
"""So many equal layers are compiled faster one by one: the second of them is taken from torch's cache."""

_SO_FAR: list[int] = []
"""Regions of every network that this process compiled."""


@contextmanager
def compiled(network: Module, slot: CompileSlot | None) -> Iterator[None]:
    """Within it the network is called through kernels that torch compiled for it; afterwards as it was built.

    Args:
        network: what is called; its state dict stays as it is.
        slot: how; None for not at all.

    Raises:
        RunError: torch cannot compile it.
    """
    if slot is None:
        yield
        return
    import torch

    regions, mode = _regions(network, slot), None if slot.mode == "default" else slot.mode
    for region in regions:
        region.compile(mode=mode)
    features = regions == [network] and isinstance(network, StagedNetwork)
    if features:  # tasks that learn without the head call this instead of the network
        staged: Any = network
        staged.forward_features = torch.compile(staged.forward_features, mode=mode)
    try:
        with _room_for(len(regions)):
            yield
    except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
        said = " ".join(str(error).split())
        raise RunError(f"torch.compile failed: {said[:300]}", hint="write run.compile: false") from error
    finally:
        for region in regions:
            region._compiled_call_impl = None  # what Module.compile set
        if features:
            del network.forward_features  # the class has it


@contextmanager
def _room_for(regions: int) -> Iterator[None]:
    """Within it torch remembers as many variants of each region as it otherwise does of one.

    It counts them by the code that it compiles, which is the same for layers of one class: from the ninth layer on it
    would give up and run them as they were built. What networks before left in this process counts too. With caches of
    their own equal layers would be compiled each.
    """
    import torch

    config: Any = torch._dynamo.config
    _SO_FAR.append(regions)
    limit = config.recompile_limit * sum(_SO_FAR)
    most = max(config.accumulated_recompile_limit, limit)
    with config.patch(recompile_limit=limit, accumulated_recompile_limit=most):
        yield


def _regions(network: Module, slot: CompileSlot) -> list[Module]:
    """The modules that are compiled each by itself."""
    layers = [
        part for stage in stages_of(network) for part in parts_of(network, stage.layers) if isinstance(part, Module)
    ]
    equal = Counter(map(_structure, layers))
    by_layer = slot.regions == "layers" or (
        slot.regions == "auto" and bool(equal) and max(equal.values()) >= FROM_EQUAL_LAYERS
    )
    return layers if by_layer else [network]


def _structure(module: Module) -> tuple[object, ...]:
    """What equal layers have in common: their types and shapes."""
    return (
        tuple(type(part) for part in module.modules()),
        tuple((name, tuple(value.shape)) for name, value in module.state_dict().items()),
    )
