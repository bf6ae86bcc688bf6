"""What can be given up when answers are late, in this order: how often windows are looked at, size, the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from zoo.streaming.budget import Rung
from zoo.streaming.predictor import Predictor
from zoo_registry.errors import ZooError

if TYPE_CHECKING:
    from zoo.model import ZooModel
    from zoo_registry.entries import ClipSpec

FACTORS = (2, 4)
"""How many times as far windows slide."""

SHRUNK = (0.8, 0.6)
"""Sides of the clip, as parts of what the model was made for; rounded to multiples of 16 pixels."""

SMALLEST = 64
"""Pixels below which no side is made."""


def ladder(predictor: Predictor, fallback: ZooModel | None, names: tuple[str, str]) -> list[Rung]:
    """The rungs that a model offers; every one of them was tried.

    Args:
        predictor: of the model as it is.
        fallback: a smaller model that means the same by its answers.
        names: what the user calls the two.
    """
    name, fallback_name = names
    rungs = [Rung(predictor, 1, f"{name} as often and as large as asked for")]
    rungs += [Rung(predictor, factor, f"windows slide {factor} times as far") for factor in FACTORS]
    for clip in _smaller(predictor.clip):
        smaller = Predictor(predictor.model, clip, reuse=predictor.reuses)
        try:
            smaller.warm_up()
        except ZooError:
            break  # made for one size
        height, width = clip.height_width
        rungs.append(Rung(smaller, FACTORS[-1], f"clips of {height}x{width} pixels"))
    if fallback is not None:
        assert fallback.clip is not None
        other = Predictor(fallback, fallback.clip)
        other.warm_up()
        other.check_reader()
        rungs.append(Rung(other, FACTORS[-1], f"the fallback {fallback_name} instead of {name}"))
    return rungs


def _smaller(clip: ClipSpec) -> Iterator[ClipSpec]:
    height, width = clip.height_width
    for part in SHRUNK:
        size = _part_of(height, part), _part_of(width, part)
        if min(size) < SMALLEST:
            return
        scale = max(size[0] / height, size[1] / width)
        resize = clip.resize
        if isinstance(resize, int):
            resize = max(round(resize * scale), min(size))
        elif isinstance(resize, tuple | list):
            resize = max(round(resize[0] * scale), size[0]), max(round(resize[1] * scale), size[1])
        yield replace(clip, size=size, resize=resize)


def _part_of(side: int, part: float) -> int:
    return 16 * round(side * part / 16)
