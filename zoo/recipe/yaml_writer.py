"""Writes plain data as YAML: mappings in blocks, lists of plain values in a line, the same text for the same data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from zoo.build.values import At
from zoo.recipe.yaml_scalars import BOOLEAN, FLOAT, INTEGER, NULL

_STARTS = [*"-+.0123456789tTfFnN~", ""]


class _Dumper(yaml.SafeDumper):
    """Quotes whatever YAML 1.1 or 1.2 would take for something other than text, so that either reads it back."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern in (("bool", BOOLEAN), ("int", INTEGER), ("float", FLOAT), ("null", NULL)):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern.pattern})$"), _STARTS)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if not text.isprintable() else None)


_Dumper.add_representer(str, _text)


def dump(data: Mapping[str, Any]) -> str:
    """YAML of plain data, in the order of its keys.

    Example:
        >>> print(dump({"lr": 1e-05, "scale": [0.5, 1.0], "model": {"name": "a/b"}}), end="")
        lr: 1.0e-05
        scale: [0.5, 1.0]
        model:
          name: a/b
    """
    return "".join(f"{line}\n" for line, _ in lines(data))


def lines(data: Mapping[str, Any]) -> Iterator[tuple[str, At | None]]:
    """The lines of `dump`, each with the way to the value that it holds, None if it only opens a mapping or list."""
    return _mapping(data, (), "")


def _mapping(data: Mapping[str, Any], at: At, indent: str) -> Iterator[tuple[str, At | None]]:
    for key, value in data.items():
        yield from _entry(f"{indent}{_inline(key)}:", value, (*at, key), f"{indent}  ")


def _entry(head: str, value: Any, at: At, indent: str) -> Iterator[tuple[str, At | None]]:
    if isinstance(value, Mapping) and value:
        yield head, None
        yield from _mapping(value, at, indent)
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        yield head, None
        for index, item in enumerate(value):
            yield from _item(item, (*at, index), indent)
    else:
        yield f"{head} {_inline(value)}", at


def _item(value: Any, at: At, indent: str) -> Iterator[tuple[str, At | None]]:
    """The lines of a list's item; the first one has the dash."""
    if not isinstance(value, Mapping) or not value:
        yield f"{indent}- {_inline(value)}", at
        return
    for number, (line, way) in enumerate(_mapping(value, at, f"{indent}  ")):
        yield (f"{indent}- {line[len(indent) + 2 :]}" if number == 0 else line), way


def _inline(value: Any) -> str:
    """A value in one line."""
    text: str = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")
