"""Reads YAML as plain data with the place of every value and key. Nothing in a file can name code.

Tags, anchors, aliases and merge keys are refused, so that a file says what it says and stays as large as it looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from zoo.recipe.node import Node
from zoo.recipe.yaml_scalars import read_plain
from zoo_registry.errors import Location, Problem, RecipeError

MAX_BYTES = 1_000_000
MAX_DEPTH = 40


def read_yaml(content: bytes | str, file: str, folder: Path, place: Location | None = None) -> Node:
    """Read a document.

    Args:
        content: the text, UTF-8 if bytes.
        file: its name, as messages show it.
        folder: what relative paths in it start from.
        place: where all of it stands, for text that is no file; replaces line and column.

    Returns:
        The value of the document.

    Raises:
        RecipeError: all problems with their places, or the first one where the text cannot be read on.

    Example:
        >>> node = read_yaml("lr: 5e-4", "r.yaml", Path("."))
        >>> node.plain(), str(node.mapping["lr"].where)
        ({'lr': 0.0005}, 'r.yaml:1:5')
    """
    if len(content) > MAX_BYTES:
        raise RecipeError(f"larger than {MAX_BYTES:,} bytes, which no recipe is", where=place or Location(file))
    text = content if isinstance(content, str) else _decoded(content, file)
    reader = _Reader(file, folder, place)
    try:
        node = reader.document(text)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        where = reader.location(before.count("\n"), len(before) - before.rfind("\n") - 1)
        reader.problems.append(Problem(f"the character {chr(int(error.character))!r} is not allowed in YAML", where))
    except yaml.MarkedYAMLError as error:
        reader.problems.append(_syntax_problem(error, reader))
    except _TooDeep as error:
        reader.problems.append(Problem(f"nested more than {MAX_DEPTH} deep", error.where))
    if reader.problems:
        raise RecipeError(reader.problems)
    return node


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise RecipeError(
            f"the byte 0x{content[error.start]:02x} is not UTF-8",
            where=Location(file, line, column),
            hint="save the file as UTF-8",
        ) from None


class _TooDeep(Exception):
    def __init__(self, where: Location) -> None:
        self.where = where


class _Reader:
    """Makes nodes of PyYAML's events, and notes what a recipe may not contain."""

    def __init__(self, file: str, folder: Path, place: Location | None) -> None:
        self.file, self.folder, self.place = file, folder, place
        self.problems: list[Problem] = []
        self.depth = 0

    def location(self, line: int, column: int) -> Location:
        """The place of a line and column that count from 0."""
        return self.place or Location(self.file, line + 1, column + 1)

    def document(self, text: str) -> Node:
        """The value of the only document in a text."""
        events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        next(events)  # the stream
        if not isinstance(next(events), yaml.DocumentStartEvent):
            return Node(None, self.location(0, 0), self.folder)
        node = self.value(next(events), events)
        next(events)  # the document's end
        if not isinstance(rest := next(events), yaml.StreamEndEvent):
            self._note(rest, "a second document begins here", "a file holds one recipe")
        return node

    def value(self, event: Any, events: Iterator[Any]) -> Node:
        """The node that an event begins."""
        where = self.location(event.start_mark.line, event.start_mark.column)
        if isinstance(event, yaml.AliasEvent):
            self._note(event, f"the alias *{event.anchor} is refused", "write the value out")
            return Node(None, where, self.folder)
        if event.anchor is not None:
            self._note(event, f"the anchor &{event.anchor} is refused", "remove it; `extends` shares values")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._note(event, f"the tag {tag} is refused", "a recipe holds plain data and can name no code")
        if isinstance(event, yaml.ScalarEvent):
            return Node(self._scalar(event), where, self.folder)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _TooDeep(where)
        collection = self._mapping(events) if isinstance(event, yaml.MappingStartEvent) else self._list(events)
        self.depth -= 1
        return Node(collection, where, self.folder)

    def _list(self, events: Iterator[Any]) -> list[Node]:
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self.value(event, events))
        return items

    def _mapping(self, events: Iterator[Any]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self.value(event, events)
            value = self.value(next(events), events)
            if not isinstance(key.value, str):
                self._note(event, "this key is not text", "put it in quotes")
            elif key.value == "<<" and event.style is None:
                self._note(event, "merge keys (<<) are refused", "write the values out, or use `extends`")
            elif (first := entries.get(key.value)) is not None:
                self._note(event, f"the key {key.value!r} is there twice", f"first at {first.key}")
            else:
                entries[key.value] = Node(value.value, value.where, self.folder, key.where)
        return entries

    def _scalar(self, event: Any) -> str | int | float | bool | None:
        if not event.implicit[0] or event.tag is not None:
            return str(event.value)
        try:
            return read_plain(event.value)
        except ValueError:
            self._note(event, "this number is too long")
            return None

    def _note(self, event: Any, message: str, hint: str | None = None) -> None:
        where = self.location(event.start_mark.line, event.start_mark.column)
        self.problems.append(Problem(message, where, hint))


def _syntax_problem(error: yaml.MarkedYAMLError, reader: _Reader) -> Problem:
    mark = error.problem_mark or error.context_mark
    where = reader.location(mark.line, mark.column) if mark else Location(reader.file)
    what = error.problem or error.context or "not valid YAML"
    if r"'\t'" in what:
        return Problem("a tab indents this line", where, "indent with spaces")
    if "mapping values are not allowed" in what:
        return Problem(
            "a colon that begins no value here", where, "put text that holds ': ' in quotes, and indent evenly"
        )
    context = f" {error.context}" if error.context and error.context != what else ""
    begun = error.context_mark
    hint = f"which begins at {reader.location(begun.line, begun.column)}" if context and begun is not None else None
    return Problem(f"not valid YAML{context}: {what}", where, hint)
