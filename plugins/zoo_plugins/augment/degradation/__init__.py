from zoo_plugins.augment.degradation.entries import ENTRIES

__all__ = ["ENTRIES"]
