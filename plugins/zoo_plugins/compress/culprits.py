"""Finds which of many changes a network does not survive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

C = TypeVar("C")


def culprits(changes: Sequence[C], survives: Callable[[Sequence[C]], bool]) -> list[C]:
    """The changes to leave out, by halving: one trial if there are none.

    Args:
        changes: what is to be done.
        survives: tries some of them together.

    Example:
        >>> culprits([1, 2, 3, 4, 5], lambda some: 4 not in some)
        [4]
    """
    if not changes or survives(changes):
        return []
    if len(changes) == 1:
        return list(changes)
    half = len(changes) // 2
    return culprits(changes[:half], survives) + culprits(changes[half:], survives)
