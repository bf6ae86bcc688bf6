"""SlowFast networks."""

from zoo_registry import Model

ENTRIES: tuple[Model, ...] = ()
