"""Which slots of a recipe take a component, a name of a closed set, or a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zoo.build.values import At
from zoo.recipe.optimizers import Optimizers
from zoo_registry import entries

ANY = "*"

COMPONENTS: dict[tuple[str, ...], str] = {
    ("task",): entries.Task.kind,
    ("model",): entries.Model.kind,
    ("data", "train"): entries.Source.kind,
    ("data", "val"): entries.Source.kind,
    ("data", "test"): entries.Source.kind,
    ("augment", ANY): entries.Augmentation.kind,
    ("loss", ANY, ANY): entries.Loss.kind,
    ("compress", ANY): entries.Compression.kind,
    ("export", ANY): entries.Exporter.kind,
    ("run", "observers", ANY): entries.Observer.kind,
}
"""The kind of component in each slot that takes one; `*` stands for any key or index."""

OPTIMIZERS: Mapping[str, str] = Optimizers()
"""Optimisers of torch and of timm, by the name that a recipe writes."""

SCHEDULES = {
    "constant": "zoo.optim.schedule:Constant",
    "cosine": "zoo.optim.schedule:Cosine",
    "exponential": "zoo.optim.schedule:Exponential",
    "linear": "zoo.optim.schedule:Linear",
    "multistep": "zoo.optim.schedule:MultiStep",
    "one_cycle": "zoo.optim.schedule:OneCycle",
    "plateau": "zoo.optim.schedule:Plateau",
    "poly": "zoo.optim.schedule:Poly",
    "step": "zoo.optim.schedule:Step",
    "wsd": "zoo.optim.schedule:WarmupStableDecay",
}
"""Schedules of the learning rate, by the name that a recipe writes."""

AVERAGES = {
    "ema": "zoo.optim.averaging:ExponentialAverage",
    "swa": "zoo.optim.averaging:StochasticAverage",
}
"""Averages of the weights, by the name that a recipe writes."""

CLOSED: dict[tuple[str, ...], tuple[str, Mapping[str, str]]] = {
    ("optim",): ("optimiser", OPTIMIZERS),
    ("optim", "schedule"): ("schedule", SCHEDULES),
    ("optim", "per_objective", ANY): ("optimiser", OPTIMIZERS),
    ("optim", "per_objective", ANY, "schedule"): ("schedule", SCHEDULES),
    ("run", "average"): ("average", AVERAGES),
}
"""What a name means in the slots whose names are closed sets, and the import string of each name."""

LISTS = (("augment",), ("compress",), ("export",), ("run", "observers"), ("loss", ANY))
"""Slots that take a list, where one item may be written without it."""


DECODER = ("data", "decoder")
"""A slot of `{name: ...}` whose names are the values of an enumeration."""


def _matches(at: At, pattern: Iterable[str]) -> bool:
    pattern = tuple(pattern)
    return len(at) == len(pattern) and all(wanted in (ANY, step) for step, wanted in zip(at, pattern, strict=True))


def component_kind(at: At) -> str | None:
    """The kind of component that a slot takes, None if it takes none.

    Example:
        >>> component_kind(("augment", 0)), component_kind(("run",))
        ('augmentation', None)
    """
    return next((kind for pattern, kind in COMPONENTS.items() if _matches(at, pattern)), None)


def closed_set(at: At) -> tuple[str, Mapping[str, str]] | None:
    """What a name means in a slot whose names are a closed set, and the import strings; None for other slots."""
    return next((known for pattern, known in CLOSED.items() if _matches(at, pattern)), None)


def is_named(at: At) -> bool:
    """Whether a slot holds `{name: ...}`, for which the name alone may be written."""
    return component_kind(at) is not None or closed_set(at) is not None or at == DECODER


def is_list(at: At) -> bool:
    """Whether a slot holds a list."""
    return any(_matches(at, pattern) for pattern in LISTS)
