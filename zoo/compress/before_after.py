"""Compression before and after, as rows to read."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.compress.measure import Measurement
from zoo.report.table import Table

NOTE = "Every stage is measured on the model as loaded from its file: bytes and times are those of the real thing."


def table(measurements: Sequence[Measurement], metrics: Sequence[str] | None = None) -> Table:
    """The measurements of `compress` as a table: one row a stage.

    Args:
        measurements: the original first.
        metrics: which of the task's metrics to show; by default all that are no part of another (`f1`, not `f1/left`).

    Returns:
        A table with plain values; the terminal and the report write units.
    """
    if metrics is None:
        metrics = [name for name in (measurements[0].metrics if measurements else ()) if "/" not in name]
    columns = (
        "stage", *metrics, "drop", "agreement", "cosine", "file bytes", "parameters", "non-zero", "gmacs",
        "peak memory bytes", "p50 ms", "p95 ms", "speedup", "clips/s",
        "joules",
    )  # fmt: skip
    rows = [
        (
            stage.stage,
            *(stage.metrics.get(name) for name in metrics),
            stage.drop,
            stage.agreement,
            stage.cosine,
            stage.bytes,
            stage.parameters,
            stage.nonzero,
            stage.gmacs,
            stage.peak_bytes,
            stage.latency_ms,
            stage.latency_p95_ms,
            stage.speedup,
            stage.clips_per_s,
            stage.joules,
        )
        for stage in measurements
    ]
    known = [column for column in range(len(columns)) if any(row[column] is not None for row in rows)]
    rows = [tuple(row[column] for column in known) for row in rows]
    return Table("Compression", tuple(columns[column] for column in known), rows, note=NOTE)
