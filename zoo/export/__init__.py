"""Writes models in the file formats of deployment, reads them back and compares."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.export.comparison import Comparison, compare
    from zoo.export.exports_table import table
    from zoo.export.write import Exported, export

__all__ = ["Comparison", "Exported", "compare", "export", "table"]

_HOMES = {
    "Comparison": "zoo.export.comparison",
    "Exported": "zoo.export.write",
    "compare": "zoo.export.comparison",
    "export": "zoo.export.write",
    "table": "zoo.export.exports_table",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.export' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
