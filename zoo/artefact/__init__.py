"""The model folder: what a run leaves, a shared disk holds and the Hub serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

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

__getattr__ = lazily(__name__, _HOMES)
