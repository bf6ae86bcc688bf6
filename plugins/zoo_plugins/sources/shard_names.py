"""Names of shards, `train-{0000..0099}.tar`, and of what lies in them, `000123.mp4`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from zoo_registry.errors import DataError

T = TypeVar("T")

MOST_SHARDS = 1_000_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MEMBER = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
_ABOUT_THE_SHARD = re.compile(r"__[^/]*__($|/)")


def expand(pattern: str) -> list[str]:
    """The names that braces stand for, as a shell writes them: ranges of numbers, and lists.

    Raises:
        DataError: more than a million of them.

    Example:
        >>> expand("{train,extra}-{008..010}.tar")[:4]
        ['train-008.tar', 'train-009.tar', 'train-010.tar', 'extra-008.tar']
    """
    parts: list[list[str]] = []
    end = 0
    for braces in _BRACES.finditer(pattern):
        choices = _choices(braces[1])
        parts += [[pattern[end : braces.start()]], choices or [braces[0]]]
        end = braces.end()
    parts.append([pattern[end:]])
    count = 1
    for part in parts:
        count *= len(part)
    if count > MOST_SHARDS:
        message = f"{pattern} stands for {count:,} shards, more than {MOST_SHARDS:,}"
        raise DataError(message, hint="look at the braces")
    return ["".join(pieces) for pieces in itertools.product(*parts)]


def _choices(inside: str) -> list[str]:
    if numbers := _RANGE.fullmatch(inside):
        first, last = numbers.groups()
        width = max(len(first), len(last)) if "0" in (first[0], last[0]) and max(len(first), len(last)) > 1 else 0
        if abs(int(last) - int(first)) >= MOST_SHARDS:
            raise DataError(f"{{{inside}}} stands for more than {MOST_SHARDS:,} shards", hint="look at the braces")
        step = 1 if int(first) <= int(last) else -1
        return [str(number).zfill(width) for number in range(int(first), int(last) + step, step)]
    return inside.split(",") if "," in inside else []


def split_name(name: str) -> tuple[str, str] | None:
    """What a member belongs to and what it is to it: all up to the first dot of its name, and what follows.

    None for a member without a dot, and for notes about the shard itself (`__...__`).

    Example:
        >>> split_name("batch.1/000123.Seg.PNG"), split_name("README"), split_name("__notes.txt__")
        (('batch.1/000123', 'seg.png'), None, None)
    """
    match = _MEMBER.fullmatch(name)
    if match is None or _ABOUT_THE_SHARD.match(name):
        return None
    return match[1], match[2].lower()


def grouped(members: Iterable[tuple[str, T]]) -> Iterator[tuple[str, dict[str, T]]]:
    """Neighbours that belong together, as the webdataset library groups them.

    Args:
        members: name and content of each, in the order of the shard.

    Yields:
        What a group is called, and its members by extension.

    Raises:
        DataError: a group has two members of one extension.

    Example:
        >>> list(grouped([("a.mp4", 1), ("a.cls", 2), ("b.mp4", 3)]))
        [('a', {'mp4': 1, 'cls': 2}), ('b', {'mp4': 3})]
    """
    current: str | None = None
    group: dict[str, T] = {}
    for name, content in members:
        split = split_name(name)
        if split is None:
            continue
        key, extension = split
        if key != current and current is not None:
            yield current, group
            group = {}
        current = key
        if extension in group:
            message = f"it holds two members called {key}.{extension}"
            raise DataError(message, hint="members of one name up to the first dot are one sample: rename one")
        group[extension] = content
    if current is not None:
        yield current, group
