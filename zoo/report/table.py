"""A table of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows under columns, for numbers that are read and compared: compression before and after, exports, bad files.

    Attributes:
        title: what is compared.
        columns: names of the columns. One that ends in `bytes`, `seconds` or `ms` has its values shown in that unit.
        rows: cells as plain values; None and NaN are shown as a dash.
        note: a sentence below the table, or in its place when there are no rows.

    Example:
        >>> table = Table("Exported files", ("file", "bytes"), [("model.onnx", 412_000)])
        >>> len(table.rows)
        1
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
