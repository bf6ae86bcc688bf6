"""What was measured, as rows to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.report.table import Table


@dataclass(frozen=True)
class Row:
    """One side of a comparison.

    Attributes:
        model: as it was named.
        backend: what computed, with the parameters of its exporter.
        precision: `fp32` or `bf16`.
        batch: clips at once.
        p50_ms, p95_ms: of one call with that many clips.
        clips_per_s: by the median.
        peak_bytes: of memory since the model was loaded; None where nobody can tell.
        file_bytes: of the exported file or the weights; None for a model by name.
        agreement: part of the clips with the first answer of the same model in torch and float32; None without classes,
            on noise, and of a file that was given as it is.
        difference: from those answers, see `zoo.export.comparison.Comparison`; None where they cannot be compared.
        ratio: clips a second in parts of the first row's.
        calls: how many were timed.
    """

    model: str
    backend: str
    precision: str
    batch: int
    p50_ms: float
    p95_ms: float
    clips_per_s: float
    peak_bytes: int | None
    file_bytes: int | None
    agreement: float | None
    difference: float | None
    ratio: float
    calls: int


COLUMNS = (
    "model", "backend", "precision", "batch", "p50 ms", "p95 ms", "clips/s", "peak bytes", "file bytes", "agreement",
    "difference", "ratio",
)  # fmt: skip


def table(rows: Sequence[Row], *, device: str, threads: int, films: int) -> Table:
    """The rows as a table, with what they were measured on below it."""
    on = f"{threads} threads of the CPU" if device == "cpu" else device
    shown = f"clips of {films} films" if films else "noise: speed does not depend on it, agreement is not shown"
    cells = [
        (row.model, row.backend, row.precision, row.batch, row.p50_ms, row.p95_ms, row.clips_per_s, row.peak_bytes,
         row.file_bytes, row.agreement, row.difference, row.ratio)
        for row in rows
    ]  # fmt: skip
    note = (
        f"On {on}, {shown}. All took turns; times are medians. Difference and agreement are those from the same model "
        "in torch and float32, which files that were given as they are do not have; memory is what came on top when "
        "the model was loaded and run."
    )
    return Table("Benchmark", COLUMNS, cells, note=note)
