"""Exported files, as rows to read."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.export.write import Exported
from zoo.report.table import Table

NOTE = "Every file was read back and compared with its model on real clips; one that differs too much is not kept."


def table(written: Sequence[Exported]) -> Table:
    """The files of `export` as a table: one row a file."""
    columns = ("file", "format", "file bytes", "max difference", "agreement", "samples", "p50 ms")
    rows = [
        (file.path.name, file.format, file.bytes, file.max_difference, file.agreement, file.samples, file.latency_ms)
        for file in written
    ]
    return Table("Exported files", columns, rows, note=NOTE)
