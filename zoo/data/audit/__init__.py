"""Reads a data set once and says what is wrong with it: `zoo data check`. Names are handed on lazily.

>>> from zoo.data.audit import audit_recipe
>>> found, splits = audit_recipe("my.yaml")                                        # doctest: +SKIP
>>> found.clean, [finding.message for finding in found.of("leak")]                 # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.data.audit.audit import Audit, audit_splits
    from zoo.data.audit.findings import KINDS, Finding, Place
    from zoo.data.audit.label_check import Judge
    from zoo.data.audit.recipe import audit_recipe

_HOMES = {
    "KINDS": "findings",
    "Audit": "audit",
    "Finding": "findings",
    "Judge": "label_check",
    "Place": "findings",
    "audit_recipe": "recipe",
    "audit_splits": "audit",
}

__all__ = ["KINDS", "Audit", "Finding", "Judge", "Place", "audit_recipe", "audit_splits"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.data.audit' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.data.audit.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
