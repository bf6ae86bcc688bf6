from zoo_plugins.augment.geometric.entries import ENTRIES

__all__ = ["ENTRIES"]
