from zoo_plugins.augment.mixing.entries import ENTRIES

__all__ = ["ENTRIES"]
