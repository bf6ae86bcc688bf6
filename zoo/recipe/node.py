"""A value of a recipe together with the place where it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.build.values import At
from zoo_registry.errors import Location


@dataclass(frozen=True)
class Node:
    """One value of a recipe.

    Attributes:
        value: text, number, true, false or None; or nodes in a mapping or list.
        where: where the value was written.
        folder: what a relative path in it starts from: the folder of the file that wrote it.
        key: where its key was written, for values in a mapping.
    """

    value: str | int | float | bool | dict[str, Node] | list[Node] | None
    where: Location
    folder: Path
    key: Location | None = None

    @property
    def mapping(self) -> dict[str, Node]:
        """The nodes of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The nodes of a list; empty for anything else."""
        return self.value if isinstance(self.value, list) else []

    def text(self, key: str) -> str | None:
        """The text under a key of a mapping, None if it is no text or not there."""
        found = self.mapping.get(key)
        return found.value if found is not None and isinstance(found.value, str) else None

    def like(self, value: Any) -> Node:
        """Another value in the same place."""
        return replace(self, value=value)

    def plain(self) -> Any:
        """The value as plain data."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def child(self, step: str | int) -> Node | None:
        """The node under a key or an index, None if there is none."""
        if isinstance(step, int):
            return self.items[step] if step < len(self.items) else None
        return self.mapping.get(step)

    def find(self, way: At) -> Node | None:
        """The node that a way leads to, None if it leads nowhere."""
        here: Node | None = self
        for step in way:
            here = here.child(step) if here is not None else None
        return here

    def nearest(self, way: At) -> Node:
        """The node that a way leads to, or the last one on the way there."""
        here = self
        for step in way:
            inner = here.child(step)
            if inner is None:
                break
            here = inner
        return here

    def walk(self, at: At = ()) -> Iterator[tuple[At, Node]]:
        """This node and all inside it, each with the way to it."""
        yield at, self
        for key, item in self.mapping.items():
            yield from item.walk((*at, key))
        for index, item in enumerate(self.items):
            yield from item.walk((*at, index))


def without_nulls(node: Node) -> Node:
    """The node without mapping entries that are null: they are back to their defaults."""
    if isinstance(node.value, dict):
        return node.like({key: without_nulls(item) for key, item in node.value.items() if item.value is not None})
    if isinstance(node.value, list):
        return node.like([without_nulls(item) for item in node.value])
    return node


def node_of(value: Any, where: Location, folder: Path) -> Node:
    """A node of plain data that was written in one place.

    Raises:
        TypeError: something that a recipe cannot hold; the message is its type's name.
    """
    if isinstance(value, Mapping):
        if strangers := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"the key {strangers[0]!r}")
        return Node({key: node_of(item, where, folder) for key, item in value.items()}, where, folder)
    if isinstance(value, Path):
        return Node(str(value), where, folder)
    if value is None or isinstance(value, str | bool | int | float):
        return Node(value, where, folder)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return Node([node_of(item, where, folder) for item in value], where, folder)
    raise TypeError(f"a {type(value).__name__}")
