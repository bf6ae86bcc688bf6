"""Compares plain values with JSON Schema, and makes of them what a builder's signature asks for.

Types are strict, as a signature is: `"3"` and `true` are no whole numbers; a whole number is a number. Only the part of
JSON Schema that `zoo.build.annotations` writes and that pydantic writes for the recipe's slots is understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.build.wording import in_words, shown
from zoo_registry.names import nearest

At = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists."""


@dataclass(frozen=True)
class Fault:
    """A value that does not fit.

    Attributes:
        at: the way to the value, also to one that is missing.
        message: what is wrong.
        hint: what to do.
        key: the key is wrong, not its value.
    """

    at: At
    message: str
    hint: str | None = None
    key: bool = False


def dotted(at: At) -> str:
    """The way to a value as `--set` writes it: `augment.0.params.p`."""
    return ".".join(map(str, at))


def faults(
    value: Any, schema: Mapping[str, Any], at: At = (), definitions: Mapping[str, Any] | None = None
) -> list[Fault]:
    """Everything in which a value differs from what the schema admits.

    Args:
        value: plain data.
        schema: JSON Schema of it.
        at: where the value is, for the messages.
        definitions: what a `$ref` refers to, by name.

    Example:
        >>> [fault.message for fault in faults("3", {"type": "integer"}, ("run", "epochs"))]
        ["run.epochs: expected a whole number, found '3'"]
    """
    return list(_faults(value, schema, at, definitions or {}))


def _faults(value: Any, schema: Mapping[str, Any], at: At, definitions: Mapping[str, Any]) -> Iterator[Fault]:
    schema = _followed(schema, definitions)
    if "anyOf" in schema:
        yield from _of_any(value, schema, at, definitions)
    elif not _has_shape(value, schema) or not _within(value, schema):
        yield unexpected(value, schema, at)
    elif "properties" in schema or schema.get("additionalProperties") is False:
        yield from _of_slots(value, schema, at, definitions)
    elif isinstance(value, Mapping) and isinstance(wanted := schema.get("additionalProperties"), Mapping):
        for key, item in value.items():
            yield from _faults(item, wanted, (*at, key), definitions)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, (item, wanted) in enumerate(zip(value, _items(schema, len(value)), strict=False)):
            yield from _faults(item, wanted, (*at, index), definitions)


def unexpected(value: Any, schema: Mapping[str, Any], at: At) -> Fault:
    """The fault of a value that is something else than the schema says."""
    numeric = isinstance(value, str) and schema.get("type") in ("integer", "number")
    quoted = numeric and value.replace(".", "", 1).replace("-", "", 1).isdigit()
    hint = "write it without quotes" if quoted else None
    return Fault(at, f"{dotted(at)}: expected {in_words(schema)}, found {shown(value)}", hint)


def _followed(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def _of_any(value: Any, schema: Mapping[str, Any], at: At, definitions: Mapping[str, Any]) -> Iterator[Fault]:
    """Nothing if one branch admits the value; else what the only branch of its shape says, or all branches in words."""
    branches = [_followed(branch, definitions) for branch in schema["anyOf"]]
    shaped = [branch for branch in branches if _has_shape(value, branch)]
    found = [faults(value, branch, at, definitions) for branch in shaped]
    if all(found):
        inside = len(found) == 1 and all(len(fault.at) > len(at) or fault.key for fault in found[0])
        yield from found[0] if inside else [unexpected(value, {"anyOf": branches}, at)]


def _of_slots(
    value: Mapping[str, Any], schema: Mapping[str, Any], at: At, definitions: Mapping[str, Any]
) -> Iterator[Fault]:
    slots = schema.get("properties", {})
    for key, item in value.items():
        if key in slots:
            yield from _faults(item, slots[key], (*at, key), definitions)
        else:
            yield unknown_key(key, slots, at)
    for key in schema.get("required", ()):
        if key not in value:
            yield Fault(
                (*at, key), f"{dotted((*at, key))} is missing: expected {in_words(_followed(slots[key], definitions))}"
            )


def unknown_key(key: str, known: Iterable[str], at: At) -> Fault:
    """The fault of a key that means nothing there, with the nearest right one."""
    known = list(known)
    near = nearest(str(key), known, limit=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
    return Fault((*at, key), f"unknown key {key!r}{f' in {dotted(at)}' if at else ''}", hint, key=True)


def _has_shape(value: Any, schema: Mapping[str, Any]) -> bool:
    if "const" in schema or "enum" in schema:
        choices = schema.get("enum", [schema.get("const")])
        return any(type(value) is type(choice) and value == choice for choice in choices)
    if "component" in schema:
        return isinstance(value, str) or (isinstance(value, Mapping) and isinstance(value.get("name"), str))
    match schema.get("type"):
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "null":
            return value is None
        case "array":
            return isinstance(value, list | tuple)
        case "object":
            return isinstance(value, Mapping)
    return True


def _within(value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, str | list | tuple):
        least = schema.get("minLength", schema.get("minItems", 0))
        return bool(least <= len(value) <= schema.get("maxLength", schema.get("maxItems", len(value))))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
    )


def _items(schema: Mapping[str, Any], count: int) -> Sequence[Mapping[str, Any]]:
    fixed: Sequence[Mapping[str, Any]] | None = schema.get("prefixItems")
    return fixed if fixed is not None else [schema.get("items") or {}] * count


Change = Callable[[Any, Mapping[str, Any], At], Any]
"""What becomes of one value, given its schema and where it is."""


def mapped(value: Any, schema: Mapping[str, Any], change: Change, at: At = ()) -> Any:
    """A value that fits its schema, changed from its innermost parts outwards.

    Example:
        >>> mapped([1, 2], {"type": "array", "items": {"type": "number"}}, lambda item, wanted, at: (at, item))
        ((), [((0,), 1), ((1,), 2)])
    """
    if "anyOf" in schema:
        schema = next((branch for branch in schema["anyOf"] if not faults(value, branch)), {})
    if isinstance(value, Mapping) and "component" not in schema:
        wanted = schema.get("additionalProperties") or {}
        value = {key: mapped(item, wanted, change, (*at, key)) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        items = zip(value, _items(schema, len(value)), strict=True)
        value = [mapped(item, wanted, change, (*at, index)) for index, (item, wanted) in enumerate(items)]
    return change(value, schema, at)
