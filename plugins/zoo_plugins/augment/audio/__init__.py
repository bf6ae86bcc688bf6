from zoo_plugins.augment.audio.entries import ENTRIES

__all__ = ["ENTRIES"]
