from zoo_plugins.augment.photometric.entries import ENTRIES

__all__ = ["ENTRIES"]
