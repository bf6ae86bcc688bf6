"""Exported files, as rows to read."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.export.write import Exported
from zoo.report.table import Table

NOTE = (
    "Each file was read back and given the same preprocessed clips as the model; `allowed` is how far their answers "
    "may be apart. Times are of one sample on the CPU. Of files that prepare pixels themselves: how many grey levels "
    "(of 255) those are from the decoder's, and how often the answer to whole frames is that to a prepared clip."
)


def table(exported: Sequence[Exported]) -> Table:
    """The files of `export` as a table: one row a file.

    Returns:
        A table with plain values; the terminal and the report write units.
    """
    columns = (
        "file",
        "format",
        "file bytes",
        "difference",
        "allowed",
        "agreement",
        "samples",
        "p50 ms",
        "grey levels",
        "whole frames",
    )
    rows = [
        (
            file.path.name,
            file.format,
            file.bytes,
            file.max_difference,
            file.allowed,
            file.agreement,
            file.samples,
            file.latency_ms,
            file.grey_levels,
            file.ordinary_agreement,
        )
        for file in exported
    ]
    return Table("Exported files", columns, rows, note=NOTE)
