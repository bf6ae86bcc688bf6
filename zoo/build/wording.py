"""Says in words what a JSON Schema admits, and what was found instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo_registry.entries import Model

_TYPES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}


def in_words(schema: Mapping[str, Any]) -> str:
    """What a value must be.

    Example:
        >>> in_words({"type": "number", "minimum": 0, "exclusiveMaximum": 1})
        'a number of at least 0 and below 1'
        >>> in_words({"anyOf": [{"enum": ["auto"]}, {"type": "integer", "exclusiveMinimum": 0}]})
        "'auto' or a whole number above 0"
    """
    if "anyOf" in schema:
        branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]  # null is the default
        return " or ".join(dict.fromkeys(map(in_words, branches)))
    if "const" in schema:
        return shown(schema["const"])
    if "enum" in schema:
        values = [shown(value) for value in schema["enum"]]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    if "component" in schema:
        kind = schema["component"]
        slots = "name, params, weights" if kind == Model.kind else "name, params"
        return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}: its name, or {{{slots}}}"
    if "name" in schema.get("properties", ()):
        return f"a name, or {{{', '.join(schema['properties'])}}}"
    if schema.get("format") == "path":
        return "a path"
    if "pattern" in schema and schema.get("examples"):
        return f"a text such as {' or '.join(map(shown, schema['examples']))}"
    kind = schema.get("type")
    if kind == "array":
        return _list(schema)
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        values = schema["additionalProperties"]
        return f"a mapping of names to {in_words(values)}" if values else "a mapping"
    return _TYPES[kind] + _limits(schema) if kind else "any value"


def _list(schema: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        each = [in_words(item) for item in schema["prefixItems"]]
        if len(set(each)) == 1:
            return f"a list of {len(each)}, each {each[0]}"
        return f"a list of {len(each)}: {', '.join(each)}"
    least, most = schema.get("minItems"), schema.get("maxItems")
    length = f" of {_between(least, most)}" if least is not None or most is not None else ""
    items = in_words(schema["items"]) if schema.get("items") else ""
    return f"a list{length}, each item {items}" if items else f"a list{length}"


def _limits(schema: Mapping[str, Any]) -> str:
    if schema["type"] == "string" and ("minLength" in schema or "maxLength" in schema):
        return f" of {_between(schema.get('minLength'), schema.get('maxLength'))} characters"
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    named = {"at least": low, "above": above, "at most": high, "below": below}
    limits = " and ".join(f"{word} {limit:g}" for word, limit in named.items() if limit is not None)
    return f" of {limits}" if limits.startswith("at") else f" {limits}" if limits else ""


def _between(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return str(least) if least == most else f"{least} to {most}"
    return f"at least {least}" if least is not None else f"at most {most}"


def shown(value: Any) -> str:
    """A value as a message shows it: short, and as a recipe would write it.

    Example:
        >>> shown("abc"), shown(True), shown([1, 2]), shown({"a": 1})
        ("'abc'", 'true', '[1, 2]', 'a mapping')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        text = f"[{', '.join(map(shown, value[:9]))}]"
        return text if len(text) <= 60 else f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"
