"""The JSON Schema of recipes as people write them, for editors."""

from __future__ import annotations

from typing import Any

from zoo.recipe.schema import RecipeSchema


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a recipe file, short forms included.

    Looser than `load_recipe` where a recipe may extend another: what that one brings may be left out, and anything
    may be `null` to go back to the default. Names are not listed: which ones there are depends on what is installed.

    Example:
        >>> json_schema()["properties"]["zoo"]["const"]
        1
    """
    schema = RecipeSchema.model_json_schema(mode="validation")
    for slot in (schema, *schema["$defs"].values()):
        slot.pop("required", None)
        slot["properties"] = {name: _or_null(value) for name, value in slot["properties"].items()}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "videozoo recipe"}
    whole = {"anyOf": [{"required": ["extends"]}, {"required": ["zoo", "task", "model"]}]}
    return {**head, **{key: value for key, value in schema.items() if key != "title"}, **whole}


def _or_null(slot: dict[str, Any]) -> dict[str, Any]:
    """A slot that also takes null; what is said about it stays on top, where editors look for it."""
    if "const" in slot:
        return slot
    about = {key: slot[key] for key in ("description", "default") if not isinstance(slot.get(key, {}), dict)}
    value = {key: item for key, item in slot.items() if key not in ("title", "description", "default")}
    branches: list[dict[str, Any]] = value["anyOf"] if set(value) == {"anyOf"} else [value]
    null = {"type": "null"}
    return {**about, "anyOf": branches if null in branches else [*branches, null]}
