"""The hooks a plugin can implement.

All of them are called once per process, when the catalogue is first asked for something of that kind, one plugin at
a time: what a plugin returns is attributed to it, and what it raises is reported by `zoo plugins` and goes no further.
Implementations return records from `zoo_registry.entries`; they import nothing heavy and touch no file.

Example:
    >>> from zoo_registry import Loss, hookimpl
    >>> @hookimpl
    ... def zoo_losses():
    ...     return [Loss("huber", builder="acme.losses:huber", summary="Squared near zero, linear far away.")]
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from zoo_registry import entries

PROJECT = "zoo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def zoo_models() -> Iterable[entries.Model | entries.Family]:  # type: ignore[empty-body]
    """Architectures, when a model is listed, shown, checked or built."""


@hookspec
def zoo_augmentations() -> Iterable[entries.Augmentation]:  # type: ignore[empty-body]
    """Changes of training clips, when a recipe's `augment` slot is checked or built."""


@hookspec
def zoo_losses() -> Iterable[entries.Loss]:  # type: ignore[empty-body]
    """Loss functions, when a recipe's `loss` slot is checked or built."""


@hookspec
def zoo_compressions() -> Iterable[entries.Compression]:  # type: ignore[empty-body]
    """Compression strategies, when a recipe's `compress` slot is checked or built, or a compressed model is loaded."""


@hookspec
def zoo_tasks() -> Iterable[entries.Task]:  # type: ignore[empty-body]
    """Tasks, when a recipe's `task` slot is checked or built, or a model predicts."""


@hookspec
def zoo_sources() -> Iterable[entries.Source]:  # type: ignore[empty-body]
    """Sources of samples, when a recipe's `data` slot is checked or built."""


@hookspec
def zoo_recipes() -> Iterable[entries.Recipe]:  # type: ignore[empty-body]
    """Recipes, when one is run, extended or listed by name."""


@hookspec
def zoo_exporters() -> Iterable[entries.Exporter]:  # type: ignore[empty-body]
    """File formats, when a recipe's `export` slot is checked or built."""


@hookspec
def zoo_fetchers() -> Iterable[entries.Fetcher]:  # type: ignore[empty-body]
    """Fetchers by URI scheme, when a URI is opened. Ours keep theirs; two others with one scheme are an error."""


@hookspec
def zoo_adapters() -> Iterable[entries.Adapter]:  # type: ignore[empty-body]
    """Adapters, when a repository or folder is loaded that another library wrote."""


@hookspec
def zoo_observers() -> Iterable[entries.Observer]:  # type: ignore[empty-body]
    """Observers, when a recipe's `run.observers` names one."""


HOOKS: dict[str, str] = {
    entries.Model.kind: "zoo_models",
    entries.Augmentation.kind: "zoo_augmentations",
    entries.Loss.kind: "zoo_losses",
    entries.Compression.kind: "zoo_compressions",
    entries.Task.kind: "zoo_tasks",
    entries.Source.kind: "zoo_sources",
    entries.Recipe.kind: "zoo_recipes",
    entries.Exporter.kind: "zoo_exporters",
    entries.Fetcher.kind: "zoo_fetchers",
    entries.Adapter.kind: "zoo_adapters",
    entries.Observer.kind: "zoo_observers",
}
"""The hook of each kind."""
