"""`--set a.b=value`: one value laid over a recipe, as if one more file extended it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from zoo.build.values import At, dotted
from zoo.recipe.merge import SameComponent, merge
from zoo.recipe.node import Node
from zoo.recipe.shorthand import expand
from zoo.recipe.slots import is_named
from zoo.recipe.yaml_reader import read_yaml
from zoo_registry.errors import Location, Problem, RecipeError

_LOSS_KEYS = ("name", "params", "weight")


@dataclass(frozen=True)
class Override:
    """One `--set`.

    Attributes:
        way: the keys and indices before the equals sign.
        node: the value, read as YAML.
    """

    way: tuple[str, ...]
    node: Node

    @property
    def renames(self) -> bool:
        """Whether it puts another component, by its name alone, into a slot."""
        return isinstance(self.node.value, str) and is_named(self.way)


def parse_override(text: str) -> Override:
    """Read `a.b=value`.

    Raises:
        RecipeError: no equals sign, an empty key, or a value that is not YAML.

    Example:
        >>> override = parse_override("optim.params.lr=5e-4")
        >>> override.way, override.node.value
        (('optim', 'params', 'lr'), 0.0005)
    """
    where = Location(f"--set {text}")
    left, equals, right = text.partition("=")
    way = tuple(step.strip() for step in left.split("."))
    if not equals or not all(way):
        raise RecipeError(f"{text!r} sets nothing", where=where, hint="write KEY=VALUE, such as run.epochs=3")
    node = read_yaml(right, where.file, Path.cwd(), where)
    if is_named(way[:-1]) and way[-1] == "name":
        way = way[:-1]  # a name alone is the short form of its slot
    return Override(way, node)


def apply_override(recipe: Node, override: Override, role: str, same: SameComponent) -> Node:
    """The recipe with one value changed.

    Args:
        recipe: in the long form.
        override: what to change.
        role: first loss role of the recipe's task.
        same: see `merge`.

    Raises:
        RecipeError: the way leads past the end of a list, or through something that holds nothing.
    """
    way = override.way
    if way[0] == "loss" and len(way) > 1 and (way[1] in _LOSS_KEYS or way[1].isdigit()):
        way = ("loss", role, *(() if way[1].isdigit() else ("0",)), *way[1:])
    return _put(recipe, way, override.node, (), role, same)


def _put(under: Node, way: tuple[str, ...], node: Node, at: At, role: str, same: SameComponent) -> Node:
    if not way:
        problems: list[Problem] = []
        over = expand(node, at, role, problems)
        if problems:
            raise RecipeError(problems)
        return merge(under, over, at, same)
    step, rest = way[0], way[1:]
    if isinstance(under.value, list):
        index = _index(step, under.items, at, node.where)
        items = list(under.items)
        items[index] = _put(items[index], rest, node, (*at, index), role, same)
        return under.like(items)
    if under.value is not None and not isinstance(under.value, dict):
        raise RecipeError(f"{dotted(at)} is {under.value!r} and holds no {step!r}", where=node.where)
    if step not in under.mapping and step.isdigit():
        raise RecipeError(f"{dotted((*at, step))} is out of range: there is no list of items yet", where=node.where)
    inner = under.mapping.get(step, replace(node, value=None))
    changed = _put(inner, rest, node, (*at, step), role, same)
    return under.like({**under.mapping, step: changed})


def _index(step: str, items: list[Node], at: At, where: Location) -> int:
    if step.isdigit() and int(step) < len(items):
        return int(step)
    there = f"its items are {dotted((*at, 0))} to {len(items) - 1}" if items else "it has no items"
    hint = f"{there}; set {dotted(at)} to replace the whole list"
    if step.isdigit():
        raise RecipeError(f"{dotted((*at, step))} is out of range", where=where, hint=hint)
    raise RecipeError(f"{dotted(at)} is a list and holds no {step!r}", where=where, hint=hint)
