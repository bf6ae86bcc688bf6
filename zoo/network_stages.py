"""The stages of any network: those that it names itself, else its top-level children."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.nn import Module, Parameter

from zoo_registry.errors import PluginError
from zoo_registry.protocols import Stage, StagedNetwork


def stages_of(network: Module) -> tuple[Stage, ...]:
    """The parts of a network in the order of its forward pass; the last one is the head.

    A network that is no `StagedNetwork` has a stage of one layer for each top-level child that holds parameters or
    buffers, in the order in which they were assigned and by their names. Parameters of its own belong to the first.

    Args:
        network: as its builder made it, without what a task put around it.

    Example:
        >>> from torch import nn
        >>> [stage.name for stage in stages_of(nn.Sequential(nn.Conv3d(3, 8, 3), nn.ReLU(), nn.Linear(8, 5)))]
        ['0', '2']
    """
    if isinstance(network, StagedNetwork):
        return tuple(network.stages())
    own = tuple(name for name, _ in network.named_parameters(recurse=False))
    children = [name for name, child in network.named_children() if child.state_dict()]
    if not children:
        return (Stage("head", (own,)),)
    first, *others = children
    return (Stage(first, ((*own, first),)), *(Stage(name, ((name,),)) for name in others))


def parts_of(network: Module, layers: Sequence[Sequence[str]]) -> Iterator[Module | Parameter]:
    """The submodules and parameters that layers of a stage name.

    Raises:
        PluginError: the network has nothing of that name.
    """
    for name in (name for layer in layers for name in layer):
        above, _, last = name.rpartition(".")
        try:
            part = getattr(network.get_submodule(above), last)
        except AttributeError:
            part = None
        if not isinstance(part, Module | Parameter):
            raise PluginError(
                f"a stage of {type(network).__name__} names {name!r}, which it does not have",
                hint="the author of the model has to mend its stages()",
            )
        yield part


def parameters_in(part: Module | Parameter) -> Iterator[Parameter]:
    """The parameters of a part."""
    if isinstance(part, Module):
        yield from part.parameters()
    else:
        yield part
