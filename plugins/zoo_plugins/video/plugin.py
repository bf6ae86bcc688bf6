"""Video classifiers of the literature, in our own code."""

from zoo_plugins.video import frame_entries, inception_entries, resnet_entries, slowfast_entries, x3d_entries
from zoo_registry import Model, hookimpl

_FAMILIES = (resnet_entries, slowfast_entries, x3d_entries, inception_entries, frame_entries)


@hookimpl
def zoo_models() -> list[Model]:
    """One list a family, in its `..._entries.py`."""
    return [entry for family in _FAMILIES for entry in family.ENTRIES]
