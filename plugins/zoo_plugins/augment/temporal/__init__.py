from zoo_plugins.augment.temporal.entries import ENTRIES

__all__ = ["ENTRIES"]
