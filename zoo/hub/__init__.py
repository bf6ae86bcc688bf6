"""Stores: publishing to and fetching from the Hugging Face Hub and shared folders. Importing this is cheap."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.hub.card import model_card
    from zoo.hub.push import Plan, check_destination, check_licence, plan, publish
    from zoo.hub.push_recipe import plan_recipe, publish_recipe

__all__ = [
    "Plan",
    "check_destination",
    "check_licence",
    "model_card",
    "plan",
    "plan_recipe",
    "publish",
    "publish_recipe",
]

_HOMES = {
    "Plan": "zoo.hub.push",
    "check_destination": "zoo.hub.push",
    "check_licence": "zoo.hub.push",
    "model_card": "zoo.hub.card",
    "plan": "zoo.hub.push",
    "plan_recipe": "zoo.hub.push_recipe",
    "publish": "zoo.hub.push",
    "publish_recipe": "zoo.hub.push_recipe",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.hub' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
