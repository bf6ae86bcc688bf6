"""Classes in a column of a `datasets` table: names, numbers, or lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

MOST_CLASSES = 1_000_000
"""Classes given as numbers; beyond it they are identifiers of something."""

_LEAVE_OUT = "write `label: null`, or choose a part with labels"


def classes_of(rows: Dataset, column: str) -> tuple[list[str], np.ndarray | list[list[str]]]:
    """Names of the classes, and for each row the number of its class or the names of several.

    Raises:
        DataError: rows without a class, or with one that the data set does not have; a column of something else.
    """
    from datasets import ClassLabel

    feature, values = rows.features[column], list(rows.select_columns([column]).with_format(None)[:][column])
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else None)
    kind = feature if inner is None else inner
    listed = [[value] for value in values] if inner is None else values
    missing = next((at for at, row in enumerate(listed) if row is None or None in row or row == [-1]), None)
    if missing is not None:
        raise DataError(f"row {missing} has no {column}", hint=_LEAVE_OUT)
    if isinstance(kind, ClassLabel):
        names = list(kind.names)
        _check_numbers(listed, len(names), column)
    elif all(isinstance(value, int) for row in listed for value in row):
        _check_numbers(listed, MOST_CLASSES, column)
        names = [str(number) for number in range(max((max(row, default=-1) for row in listed), default=-1) + 1)]
    elif all(isinstance(value, str) for row in listed for value in row):
        names = sorted({value for row in listed for value in row})
    else:
        raise DataError(f"the column {column!r} holds {feature}, no classes", hint="`label` names another column")
    if inner is not None:
        return names, [[names[value] if isinstance(value, int) else value for value in row] for row in listed]
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([value if isinstance(value, int) else numbers[value] for value in values], np.int64)


def _check_numbers(listed: Sequence[Sequence[Any]], count: int, column: str) -> None:
    """See that every number is that of a class: a negative one would count from the end."""
    for at, row in enumerate(listed):
        if outside := [value for value in row if isinstance(value, int) and not 0 <= value < count]:
            raise DataError(
                f"row {at} has {column} {outside[0]}; classes are numbered from 0 to {count - 1:,}",
                hint="is it an identifier? `label` names the column of the classes",
            )
