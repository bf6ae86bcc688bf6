"""Measures models side by side: other runtimes, other numbers, the same clips, in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.benchmark.bench_table import Row, table
    from zoo.benchmark.side import Backend, Side, backend_of
    from zoo.benchmark.side_by_side import bench

__all__ = ["Backend", "Row", "Side", "backend_of", "bench", "table"]

_HOMES = {
    "Backend": "zoo.benchmark.side",
    "Row": "zoo.benchmark.bench_table",
    "Side": "zoo.benchmark.side",
    "backend_of": "zoo.benchmark.side",
    "bench": "zoo.benchmark.side_by_side",
    "table": "zoo.benchmark.bench_table",
}

__getattr__ = lazily(__name__, _HOMES)
