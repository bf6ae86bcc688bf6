"""What a group of members of a shard says: its film or picture, and what is known about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from zoo_registry.errors import DataError

MEDIA = (
    "mp4", "mkv", "webm", "avi", "mov", "m4v", "mpg", "mpeg", "ts", "flv", "wmv", "3gp", "ogv", "gif",
    "jpg", "jpeg", "png", "webp", "bmp", "ppm", "tif", "tiff",
)  # fmt: skip
"""Extensions of media, in the order in which a group is searched for one."""

LARGEST_NOTE = 16 * 1024**2
"""Bytes of a member that is read as text."""

FILMS = ("clip_bcthw", "mask_bthw")
"""Targets that are films. Readers take their paths, and a shard must not name files of this machine."""

_WHOLE = re.compile(r"\d{1,18}")
"""A number of a class. What is longer is a name: no data set has so many classes."""


_SEE_TARGETS = "`targets` says what is read from which member"


class BadGroup(ValueError):
    """What is wrong with a group, in words.

    Args:
        message: what is wrong.
        hint: what to do next.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Fields:
    """Which members of a group mean what.

    Attributes:
        media: extensions of media, the first one present is taken.
        targets: for each target, the extension it is read from, or `json.FIELD`.
        labels: class names by number; empty leaves numbers as they are written.
    """

    media: tuple[str, ...]
    targets: Mapping[str, str]
    labels: tuple[str, ...] = ()

    def is_note(self, extension: str) -> bool:
        """Whether a target is read from members of this extension."""
        return any(extension in (member, member.partition(".")[0]) for member in self.targets.values())

    def medium(self, group: Mapping[str, Any]) -> str:
        """The extension of a group's media.

        Raises:
            BadGroup: there is none.
        """
        found = next((extension for extension in self.media if extension in group), None)
        if found is None:
            hint = f"media end in {', '.join(self.media)}; `media` takes other endings"
            raise BadGroup(f"it has no film or picture but {', '.join(group)}", hint)
        return found

    def read(self, notes: Mapping[str, bytes]) -> dict[str, Any]:
        """The targets of a group.

        Args:
            notes: content of its members that are no media, by extension.

        Raises:
            BadGroup: one is missing or says nothing that can be understood.
        """
        return {target: self._target(target, member, notes) for target, member in self.targets.items()}

    def _target(self, target: str, member: str, notes: Mapping[str, bytes]) -> Any:
        extension, _, field = (member, "", "") if member in notes else member.partition(".")
        if extension not in notes:
            raise BadGroup(f"it has no .{extension}, which {target} is read from", _SEE_TARGETS)
        try:
            text = notes[extension].decode("utf-8").strip()
            value: Any = json.loads(text) if extension == "json" else text
        except (ValueError, RecursionError) as error:
            kind = "UTF-8 text" if extension != "json" or isinstance(error, UnicodeDecodeError) else "JSON"
            raise BadGroup(f"its .{extension} is no {kind}", f"{error}; write the shard again"[:200]) from error
        if field:
            if not isinstance(value, dict) or field not in value:
                raise BadGroup(f"its .json has no {field!r}, which {target} is read from", _SEE_TARGETS)
            value = value[field]
        return self._encoded(target, value)

    def _encoded(self, target: str, value: Any) -> Any:
        if target == "label_b":
            return self._class(value)
        if target == "label_bk":
            listed = value if isinstance(value, list) else str(value).split(";")
            return [self._class(one.strip() if isinstance(one, str) else one) for one in listed if one != ""]
        if target.startswith("value_"):
            return _number(target, value)
        return value

    def _class(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise BadGroup(f"its class should be a name or a number, not {_short(value)}", _SEE_TARGETS)
        text = str(value)
        if not self.labels or not _WHOLE.fullmatch(text) or text in self.labels:
            return text
        if int(text) >= len(self.labels):
            raise BadGroup(f"its class is number {text} of {len(self.labels)}; the first is 0", "are all in `labels`?")
        return self.labels[int(text)]


def _number(target: str, value: Any) -> Any:
    """One finite number, or a list of them."""
    try:
        numbers = [float(one) for one in value] if isinstance(value, list) else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadGroup(f"its {target} should be a number, not {_short(value)}", _SEE_TARGETS) from error
    if not all(map(isfinite, numbers if isinstance(numbers, list) else [numbers])):
        raise BadGroup(f"its {target} should be a number, not {_short(value)}", _SEE_TARGETS)
    return numbers


def _short(value: Any) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def class_names(found: Sequence[str] | set[str]) -> list[str]:
    """Names of classes from what samples say: numbers make a row from 0 on, names are sorted.

    Raises:
        DataError: numbers without an end, such as identifiers.
    """
    if not found or not all(_WHOLE.fullmatch(name) for name in found):
        return sorted(found)
    count = max(map(int, found)) + 1
    if count > 1_000_000:
        raise DataError(
            f"there are classes up to number {count - 1}", hint="write the names of the classes in `labels`"
        )
    return [str(number) for number in range(count)]
