"""Stores: publishing to and fetching from the Hugging Face Hub and shared folders. Importing this is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

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

__getattr__ = lazily(__name__, _HOMES)
