"""Lays one recipe over another: mappings merge, lists replace, `null` means back to the default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from zoo.build.values import At
from zoo.recipe.node import Node
from zoo.recipe.slots import component_kind, is_named

SameComponent = Callable[[str, str, str], bool]
"""`(kind, name, other name)`: whether two references mean one component."""


def merge(under: Node, over: Node, at: At, same: SameComponent) -> Node:
    """What holds when `over` extends `under`, both in the long form.

    A component that is named anew drops everything inherited beside the name: parameters and weights were another's.

    Args:
        under: what is inherited.
        over: what is written over it.
        at: the slot they are in; () for a whole recipe.
        same: tells `r3d_18` and `torchvision/r3d_18` to be one.
    """
    if not isinstance(under.value, dict) or not isinstance(over.value, dict):
        return over
    if is_named(at) and _renamed(under, over, at, same):
        return over
    entries = dict(under.value)
    for key, item in over.value.items():
        entries[key] = merge(entries[key], item, (*at, key), same) if key in entries else item
    return replace(over, value=entries)


def _renamed(under: Node, over: Node, at: At, same: SameComponent) -> bool:
    old, new = under.text("name"), over.text("name")
    if old is None or new is None or old == new:
        return False
    kind = component_kind(at)
    return kind is None or not same(kind, old, new)
