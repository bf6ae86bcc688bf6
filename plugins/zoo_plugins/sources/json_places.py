"""JSON whose parts know the line they begin on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo_plugins.sources.annotation_text import text_of
from zoo_registry.errors import DataError, Location

_BLANK = re.compile(r"[ \t\r\n]*")


def items(path: Path) -> Iterator[tuple[int, str, Any]]:
    """What a JSON file's list or object holds.

    Args:
        path: of the file.

    Yields:
        line that an item begins on, its key (empty in a list), and its value.

    Raises:
        DataError: no such file; no JSON, with its line; neither list nor object.
    """
    text = text_of(path)
    try:
        yield from _items(text)
    except json.JSONDecodeError as error:
        where = Location(str(path), error.lineno, error.colno)
        raise DataError(f"no JSON: {error.msg}", where=where, hint="the download may be incomplete") from error
    except RecursionError as error:
        message = "no JSON that belongs here: it is nested too deeply"
        raise DataError(message, where=Location(str(path)), hint="is it the official list?") from error


def _items(text: str) -> Iterator[tuple[int, str, Any]]:
    scan = json.JSONDecoder().raw_decode
    at = _skip(text, 0)
    opening = text[at : at + 1]
    if opening not in ("[", "{"):
        raise json.JSONDecodeError("Expecting a list or an object", text, at)
    closing = "]" if opening == "[" else "}"
    line, counted = 1, 0
    at = _skip(text, at + 1)
    while text[at : at + 1] != closing:
        line, counted = line + text.count("\n", counted, at), at
        key = ""
        if opening == "{":
            key, at = scan(text, at)
            at = _expect(text, _skip(text, at), ":")
            if not isinstance(key, str):
                raise json.JSONDecodeError("Expecting a key in quotes", text, counted)
        value, at = scan(text, _skip(text, at))
        yield line, key, value
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != closing:
            raise json.JSONDecodeError(f"Expecting ',' or '{closing}'", text, at)
    if (rest := _skip(text, at + 1)) != len(text):
        raise json.JSONDecodeError("Extra data", text, rest)


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return at if match is None else match.end()


def _expect(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise json.JSONDecodeError(f"Expecting '{sign}'", text, at)
    return at + 1
