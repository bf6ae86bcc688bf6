"""Makes a model smaller or faster, one strategy after another, and measures what each of them cost and brought."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.compress.apply import ORIGINAL, Compressed, Planned, compress
    from zoo.compress.before_after import table
    from zoo.compress.context import Context
    from zoo.compress.latency import Latency, measure_latency
    from zoo.compress.measure import Measurement
    from zoo.compress.structure import restore_structure
    from zoo.compress.trade_off import trade_offs

__all__ = [
    "ORIGINAL",
    "Compressed",
    "Context",
    "Latency",
    "Measurement",
    "Planned",
    "compress",
    "measure_latency",
    "restore_structure",
    "table",
    "trade_offs",
]

_HOMES = {
    "Compressed": "zoo.compress.apply",
    "Context": "zoo.compress.context",
    "Latency": "zoo.compress.latency",
    "Measurement": "zoo.compress.measure",
    "ORIGINAL": "zoo.compress.apply",
    "Planned": "zoo.compress.apply",
    "compress": "zoo.compress.apply",
    "measure_latency": "zoo.compress.latency",
    "restore_structure": "zoo.compress.structure",
    "table": "zoo.compress.before_after",
    "trade_offs": "zoo.compress.trade_off",
}

__getattr__ = lazily(__name__, _HOMES)
