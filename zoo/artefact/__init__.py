"""The model folder: what a run leaves, a shared disk holds and the Hub serves."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.artefact.load import load_model
    from zoo.artefact.manifest import Manifest, read_manifest
    from zoo.artefact.save import save_model

__all__ = ["Manifest", "load_model", "read_manifest", "save_model"]

_HOMES = {
    "Manifest": "zoo.artefact.manifest",
    "load_model": "zoo.artefact.load",
    "read_manifest": "zoo.artefact.manifest",
    "save_model": "zoo.artefact.save",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.artefact' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
