"""Several changes drawn by chance."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = ()
