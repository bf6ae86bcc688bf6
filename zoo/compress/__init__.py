"""Makes a model smaller or faster, one strategy after another, and measures what each of them cost and brought."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.compress.apply import Compressed, compress
    from zoo.compress.before_after import table
    from zoo.compress.context import Context
    from zoo.compress.latency import Latency, measure_latency
    from zoo.compress.measure import Measurement
    from zoo.compress.structure import restore_structure

__all__ = [
    "Compressed",
    "Context",
    "Latency",
    "Measurement",
    "compress",
    "measure_latency",
    "restore_structure",
    "table",
]

_HOMES = {
    "Compressed": "zoo.compress.apply",
    "Context": "zoo.compress.context",
    "Latency": "zoo.compress.latency",
    "Measurement": "zoo.compress.measure",
    "compress": "zoo.compress.apply",
    "measure_latency": "zoo.compress.latency",
    "restore_structure": "zoo.compress.structure",
    "table": "zoo.compress.before_after",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.compress' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
