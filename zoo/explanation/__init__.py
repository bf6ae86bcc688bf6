"""Why a model answers as it does: which places and moments of a film its answer rests on. Handed on lazily.

>>> explanation = zoo.explain("runs/quickstart", "film.mp4")                # doctest: +SKIP
>>> explanation.write_video("explained.mp4")                                # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.explanation.explanation import Explanation
    from zoo.explanation.methods import METHODS, suitable
    from zoo.explanation.why import explain

_HOMES = {"Explanation": "explanation", "METHODS": "methods", "explain": "why", "suitable": "methods"}

__all__ = ["METHODS", "Explanation", "explain", "suitable"]

__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
