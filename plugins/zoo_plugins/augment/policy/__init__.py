from zoo_plugins.augment.policy.entries import ENTRIES

__all__ = ["ENTRIES"]
