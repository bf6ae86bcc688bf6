"""Writes a recipe's short forms out, before anything is merged: a name alone, one item for a list, a loss without role.

loss: cross_entropy              loss: {loss: [{name: cross_entropy}]}      # the task's first role
augment: horizontal_flip         augment: [{name: horizontal_flip}]
model: x3d_s.k400                model: {name: x3d_s, weights: k400}
"""

from __future__ import annotations

from zoo.build.references import split_tag
from zoo.build.values import At
from zoo.recipe.node import Node
from zoo.recipe.slots import component_kind, is_list, is_named
from zoo_registry.entries import Model
from zoo_registry.errors import Problem

_LOSS_KEYS = {"name", "params", "weight"}


def expand(node: Node, at: At, role: str, problems: list[Problem]) -> Node:
    """The long form of what a file says about a slot.

    Args:
        node: as written.
        at: the slot; () for a whole recipe.
        role: first loss role of the recipe's task.
        problems: gets what cannot be expanded.
    """
    if at == ("loss",):
        node = _by_role(node, role)
    if is_list(at) and isinstance(node.value, str | dict):
        node = node.like([node])
    if is_named(at) and isinstance(node.value, str):
        node = node.like({"name": node})
    if component_kind(at) == Model.kind:
        node = _tag_as_weights(node, problems)
    if isinstance(node.value, dict):
        return node.like({key: expand(item, (*at, key), role, problems) for key, item in node.value.items()})
    if isinstance(node.value, list):
        return node.like([expand(item, (*at, index), role, problems) for index, item in enumerate(node.value)])
    return node


def _by_role(node: Node, role: str) -> Node:
    """One loss, or a list of them, as a mapping by role."""
    alone = isinstance(node.value, str | list) or not _LOSS_KEYS.isdisjoint(node.mapping)
    return node.like({role: node}) if alone else node


def _tag_as_weights(node: Node, problems: list[Problem]) -> Node:
    """A tag in a model's name moved to its weights."""
    text = node.text("name")
    bare, tag = split_tag(text) if text is not None else (None, None)
    if tag is None:
        return node
    slots = node.mapping
    if "weights" in slots:
        problems.append(
            Problem(f"{text!r} names weights already", slots["weights"].where, "write the tag in one place: `weights`")
        )
        return node
    return node.like({**slots, "name": slots["name"].like(bare), "weights": slots["name"].like(tag)})
