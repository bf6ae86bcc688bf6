"""How far predicted numbers are from the true ones, by torchmetrics."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan

from torch import Tensor

from zoo_plugins.tasks.collected import Collected
from zoo_plugins.tasks.one_model import target_of
from zoo_registry.errors import DataError
from zoo_registry.protocols import Batch, Outputs

MEASURES = ("mae", "rmse", "r2", "pearson")


class RegressionMetrics:
    """Running measures of `{"value_bk"}` against `value_b` or `value_bk`; a `zoo_registry.protocols.Metrics`.

    `compute` gives `mae`, `rmse` (both in the unit of the values), `r2` (1 is perfect, 0 as good as the mean of the
    true values) and `pearson` (linear correlation; NaN where either side is constant), and `loss` where there is one.
    Of several values these are the means over them, and `mae/NAME` and so on are each one's.

    Args:
        names: of the K values.
        loss: `(value_bk, value_bk)` to scalar, or None.

    Example:
        >>> import torch
        >>> metrics = RegressionMetrics(("age",), None)
        >>> value_b, index = torch.tensor([20.0, 30.0, 40.0]), torch.arange(3)
        >>> metrics.update({"value_bk": value_b.unsqueeze(1) + 3}, Batch({}, {"value_b": value_b}, index, index))
        >>> metrics.compute()["mae"]
        3.0
    """

    def __init__(self, names: Sequence[str], loss: Callable[[Tensor, Tensor], Tensor] | None) -> None:
        self._names = tuple(names)
        self._loss = loss
        self._seen = Collected()

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Take in one batch."""
        value_bk, true_bk = outputs["value_bk"], true_values(batch, self._names)
        self._seen.add(value_bk, true_bk, None if self._loss is None else self._loss(value_bk, true_bk))

    def compute(self) -> Mapping[str, float]:
        """The measures so far; NaN where nothing was seen."""
        columns: list[dict[str, float]] = [dict.fromkeys(MEASURES, nan) for _ in self._names]
        if len(self._seen):
            said_nk, true_nk = self._seen.all()
            pairs = zip(said_nk.double().T, true_nk.double().T, strict=True)
            columns = [_of_one_value(said_n, true_n) for said_n, true_n in pairs]
        values = {measure: _mean([column[measure] for column in columns]) for measure in MEASURES}
        if self._loss is not None:
            values["loss"] = self._seen.mean_loss()
        if len(self._names) > 1:
            for name, column in zip(self._names, columns, strict=True):
                values |= {f"{measure}/{name}": column[measure] for measure in MEASURES}
        return values

    def merge(self, other: RegressionMetrics) -> None:
        """Take in what another has seen of the same split, such as another process; the other stays as it is."""
        self._seen.merge(other._seen)

    def reset(self) -> None:
        """Forget everything."""
        self._seen.clear()


def true_values(batch: Batch, names: Sequence[str]) -> Tensor:
    """(B, K) float32: `value_bk`, or `value_b` as one column.

    Raises:
        DataError: the batch has neither, or another number of values than there are names.
    """
    hint = "give every sample a number (a manifest's column `value`) or several (`values`)"
    value = target_of(batch, ("value_bk", "value_b"), "regression", hint)
    rows_bk: Tensor = value.float().reshape(len(batch), -1)
    if rows_bk.shape[1] != len(names):
        raise DataError(
            f"samples have {rows_bk.shape[1]} values, and the source names {len(names)}: {', '.join(names)}",
            hint="the labels of a source of numbers are their names, in the order of `value_bk`",
        )
    return rows_bk


def _of_one_value(said_n: Tensor, true_n: Tensor) -> dict[str, float]:
    """The measures of N predictions of one value, float64. Importing torchmetrics takes seconds."""
    from torchmetrics.functional.regression import (
        mean_absolute_error,
        mean_squared_error,
        pearson_corrcoef,
        r2_score,
    )

    values = {
        "mae": float(mean_absolute_error(said_n, true_n)),
        "rmse": float(mean_squared_error(said_n, true_n, squared=False)),
        "r2": nan,
        "pearson": nan,
    }
    if len(true_n) > 1 and bool((true_n != true_n[0]).any()):
        values["r2"] = float(r2_score(said_n, true_n))
        if bool((said_n != said_n[0]).any()):
            with warnings.catch_warnings():  # of a small variance: NaN says it
                warnings.simplefilter("ignore")
                values["pearson"] = float(pearson_corrcoef(said_n, true_n))
    return values


def _mean(values: Sequence[float]) -> float:
    """Of those that are there."""
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else nan
