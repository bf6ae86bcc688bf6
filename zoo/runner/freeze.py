"""Keeps the first stages of a model as they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn import Module

from zoo.network_stages import parameters_in, parts_of, stages_of
from zoo_registry.errors import Location, RecipeError
from zoo_registry.names import nearest


@dataclass(frozen=True)
class Frozen:
    """The part of a model that does not learn.

    Attributes:
        modules: all that lie in the frozen stages.
    """

    modules: tuple[Module, ...] = ()

    def hold(self) -> None:
        """Put the part into evaluation mode, whatever its model was switched to."""
        for module in self.modules:
            module.training = False


def freeze(network: Module, until: str, *, where: Location | None = None) -> Frozen:
    """Freeze all stages of a network up to and including one.

    Their parameters get no gradients, and so stay out of optimisers. They compute as in evaluation as long as `hold` is
    called after every switch to training: norms keep their running statistics and nothing is dropped.

    Args:
        network: as its builder made it, before a task wraps it.
        until: name of the last stage to freeze; see `stages_of`.
        where: place of the name in the recipe.

    Raises:
        RecipeError: no such stage, or nothing would be left to learn.

    Example:
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.Linear(8, 5))
        >>> frozen = freeze(network, "1")
        >>> [name for name, parameter in network.named_parameters() if parameter.requires_grad]
        ['2.weight', '2.bias']
    """
    stages = stages_of(network)
    names = [stage.name for stage in stages]
    if until not in names:
        near = nearest(until, names)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"its stages are {', '.join(names)}"
        raise RecipeError(f"the model has no stage {until!r}", where=where, hint=hint)
    kept = [layer for stage in stages[: names.index(until) + 1] for layer in stage.layers]
    modules: list[Module] = []
    for part in parts_of(network, kept):
        modules += part.modules() if isinstance(part, Module) else ()
        for parameter in parameters_in(part):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        before = f", such as {names[-2]!r}" if len(names) > 1 else ""
        raise RecipeError(
            f"freezing the model until {until!r} leaves it nothing to learn",
            where=where,
            hint=f"freeze until an earlier stage{before}; to only evaluate, remove optim",
        )
    frozen = Frozen(tuple(modules))
    frozen.hold()
    return frozen
