"""What differs between two recipes, locks or other plain data, value by value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT: Any = object()
"""Stands for a value that one side does not have."""


@dataclass(frozen=True)
class Difference:
    """A value that two sides do not share.

    Attributes:
        name: the way to it, `run.epochs` or `augment.0.name`.
        one: what the first side has, or `ABSENT`.
        other: what the second has.
    """

    name: str
    one: Any
    other: Any


def compared(one: Any, other: Any, name: str = "") -> list[Difference]:
    """Every value that differs, the first side's first; lists of different lengths differ as a whole.

    Args:
        one: plain data: mappings, lists, text, numbers.
        other: likewise.
        name: the way to both.

    Example:
        >>> [(each.name, each.one, each.other) for each in compared({"run": {"epochs": 3}}, {"run": {"epochs": 5}})]
        [('run.epochs', 3, 5)]
    """
    if one is ABSENT and isinstance(other, Mapping) and other:
        one = {}
    if other is ABSENT and isinstance(one, Mapping) and one:
        other = {}
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = dict.fromkeys([*one, *other])
        pairs = [(str(key), one.get(key, ABSENT), other.get(key, ABSENT)) for key in keys]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [Difference(name, one, other)]
    return [
        difference
        for key, first, second in pairs
        for difference in compared(first, second, f"{name}.{key}".lstrip("."))
    ]


def shown(value: Any, most: int = 60) -> str:
    """A value in a message, `absent` where there is none."""
    text = "absent" if value is ABSENT else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= most else text[: most - 3] + "..."
