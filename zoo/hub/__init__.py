"""Stores: publishing to and fetching from the Hugging Face Hub and shared folders. Importing this is cheap."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.hub.card import model_card
    from zoo.hub.push import publish

__all__ = ["model_card", "publish"]

_HOMES = {"model_card": "zoo.hub.card", "publish": "zoo.hub.push"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.hub' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
