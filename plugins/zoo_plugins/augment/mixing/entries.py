"""Two samples made one."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = ()
