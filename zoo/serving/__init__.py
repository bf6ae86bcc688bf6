"""A model behind an address: films are posted to it, its answers come back as JSON.

>>> from zoo.serving import Limits, serve
>>> serve("runs/motions", port=8000, limits=Limits(size=16 << 20))                          # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.serving.limits import Limits
    from zoo.serving.server import serve

_HOMES = {"Limits": "limits", "serve": "server"}

__all__ = ["Limits", "serve"]

__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
