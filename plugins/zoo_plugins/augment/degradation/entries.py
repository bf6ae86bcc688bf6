"""What cameras, codecs and weather do to a film."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = ()
