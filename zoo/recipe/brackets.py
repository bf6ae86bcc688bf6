"""Splits what people type on a command line where no bracket encloses the separator."""

from __future__ import annotations

_OPENING, _CLOSING = "[{(", "]})"


def split_outside(text: str, separator: str) -> list[str]:
    """The text between separators that no bracket encloses; none of an empty text.

    Example:
        >>> split_outside("torch,onnx:keep=[head,stem]", ",")
        ['torch', 'onnx:keep=[head,stem]']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if letter == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts if text.strip() else []
