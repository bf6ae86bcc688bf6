"""Changes of training clips, on the batch's device; drawn once a sample, the same for every frame."""

from zoo_plugins.augment import audio, degradation, erasing, geometric, mixing, photometric, policy, temporal
from zoo_registry import Augmentation, hookimpl


@hookimpl
def zoo_augmentations() -> list[Augmentation]:
    """One list a folder: what the folder is about is in its `entries.py`."""
    folders = (geometric, photometric, degradation, temporal, erasing, mixing, policy, audio)
    return [entry for folder in folders for entry in folder.ENTRIES]
