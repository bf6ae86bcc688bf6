from zoo_plugins.augment.erasing.entries import ENTRIES

__all__ = ["ENTRIES"]
