"""Plain scalars of YAML 1.2's core schema (specification 1.2.2, section 10.3.2).

Unlike YAML 1.1, which PyYAML speaks: `5e-4` is a number, `0o17` is 15, and `yes`, `on`, `1:30`, `2026-01-01` and `017`
are what they look like: text, but for the last, which is 17.
"""

from __future__ import annotations

import re

NULL = re.compile(r"null|Null|NULL|~|")
BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_BASES = {"0o": 8, "0x": 16}


def read_plain(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means.

    Raises:
        ValueError: a whole number too long to be one.

    Example:
        >>> [read_plain(text) for text in ("5e-4", "0o17", "017", "yes", "~", "true")]
        [0.0005, 15, 17, 'yes', None, True]
    """
    if NULL.fullmatch(text):
        return None
    if BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if INTEGER.fullmatch(text):
        return int(text[2:], _BASES[text[:2]]) if text[:2] in _BASES else int(text)
    if FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
