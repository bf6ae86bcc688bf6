"""Parts that are taken away."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = ()
