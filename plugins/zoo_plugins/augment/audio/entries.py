"""Changes of sound."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = ()
