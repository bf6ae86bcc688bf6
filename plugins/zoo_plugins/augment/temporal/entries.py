"""What happens when."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = ()
