"""A model behind an address: films are posted to it, its answers come back as JSON.

>>> from zoo.serving import Limits, serve
>>> serve("runs/motions", port=8000, limits=Limits(size=16 << 20))                          # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.serving.limits import Limits
    from zoo.serving.server import serve

_HOMES = {"Limits": "limits", "serve": "server"}

__all__ = ["Limits", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.serving' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.serving.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
