"""X3D networks."""

from zoo_registry import Model

ENTRIES: tuple[Model, ...] = ()
