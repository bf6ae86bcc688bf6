"""How names, numbers and strangers' text are written in pictures and on the page."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

DASH = "–"

_SPELT = {
    "lr": "Learning rate",
    "seconds": "Time",
    "bytes": "Size",
    "map": "mAP",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}


def plain(text: object, limit: int | None = None) -> str:
    """Text as one line that can always be drawn and written.

    File names may hold bytes that are not UTF-8 (surrogates in Python), control characters, and signs that turn the
    direction of what follows; all become `�`.

    Args:
        text: anything; its `str` is taken.
        limit: longest length; what is longer loses its middle, because file names differ at the end.

    Example:
        >>> plain("clips/a_very_long_name_of_a_film_017.mp4", limit=21)
        'clips/a_ve…lm_017.mp4'
    """
    line = "".join("�" if _is_unprintable(character) else character for character in str(text))
    if limit is None or len(line) <= limit:
        return line
    tail = (limit - 1) // 2
    return f"{line[: limit - 1 - tail]}…{line[-tail:] if tail else ''}"


def _is_unprintable(character: str) -> bool:
    turning = "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    return turning or unicodedata.category(character) in ("Cc", "Cs")


def name(key: str) -> str:
    """A key as words: `samples_per_s` becomes `samples per s`."""
    return plain(key).replace("_", " ")


def sentence(key: str) -> str:
    """A key as the start of a sentence: `f1_macro` becomes `F1 macro`, `lr` becomes `Learning rate`, `map` `mAP`."""
    words = name(key)
    return _SPELT.get(key, words[:1].upper() + words[1:])


def number(value: Any) -> str:
    """A value for people: four significant digits, thousands set apart, a dash for what is not known.

    Example:
        >>> number(0.98333), number(33371472), number(float("nan")), number(True)
        ('0.9833', '33,371,472', '–', 'yes')
    """
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return DASH if math.isnan(value) else ("∞" if value > 0 else "-∞")
        return f"{value:,.0f}" if value.is_integer() and abs(value) >= 10_000 else f"{value:.4g}"
    return plain(value)


def short_count(count: float) -> str:
    """A large count in three digits: `33.4 M`."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(count) >= size:
            return f"{count / size:.3g}{unit}"
    return number(count)


def quantity(key: str, value: Any) -> str:
    """A value in the unit that its key ends in: bytes, seconds, ms, kwh, co2_g, parameters; else as `number` writes it.

    Example:
        >>> quantity("val/seconds", 112.4), quantity("bytes", 133_700_000), quantity("parameters", 3_794_274)
        ('1 min 52 s', '133.7 MB', '3.79 M')
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return number(value)
    unit = key.replace("/", "_").replace(" ", "_").rsplit("_", 1)[-1].lower()
    if unit == "seconds":
        return _duration(float(value))
    if unit == "bytes":
        return _size(float(value))
    if unit == "ms":
        return f"{value:.3g} ms" if abs(value) < 1000 else f"{value:,.0f} ms"
    if unit == "kwh":
        return f"{value:.3g} kWh"
    if key.endswith("co2_g"):
        return f"{value:,.3g} g" if value < 1000 else f"{value / 1000:,.3g} kg"
    if unit == "parameters":
        return short_count(value)
    return number(value)


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _size(count: float) -> str:
    for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= scale:
            return f"{count / scale:.4g} {unit}"
    return f"{count:.0f} B"
