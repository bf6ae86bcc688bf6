"""One or several numbers for each clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Module

from zoo_plugins.tasks.one_model import Loss, OneModelTask
from zoo_plugins.tasks.regression_metrics import RegressionMetrics, true_values
from zoo_registry import Provided
from zoo_registry.errors import RecipeError
from zoo_registry.protocols import Batch, Figure, Outputs, Series

SAME = 1e-6
"""Losses that differ by less are the same."""


class Regression(OneModelTask):
    """A `zoo_registry.protocols.Task`; see `regression`."""

    name, answer, columns, fitting = "regression", "value_bk", "values", "smooth_l1, or l1, or mse"
    monitor: tuple[str, Literal["max", "min"]] = ("mae", "min")

    def target(self, batch: Batch) -> Tensor:
        """(B, K) of `value_b` or `value_bk`."""
        return true_values(batch, self.labels)

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The mean of the views' values."""
        return {"value_bk": torch.stack([output["value_bk"] for output in outputs]).mean(dim=0)}

    def metrics(self) -> RegressionMetrics:
        """mae, rmse, r2, pearson, of several values also one by one, and loss."""
        return RegressionMetrics(self.labels, self.loss)

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """Every prediction over the true value."""
        true_kb, said_kb = true_values(batch, self.labels).T.tolist(), outputs["value_bk"].T.tolist()
        points = {
            name: tuple(zip(true_b, said_b, strict=True))
            for name, true_b, said_b in zip(self.labels, true_kb, said_kb, strict=True)
        }
        return [Series("Predicted over true values", points, x_axis="true", y_axis="predicted", joined=False)]

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """`{NAME: number, ...}` per clip."""
        return [dict(zip(self.labels, row, strict=True)) for row in outputs["value_bk"].tolist()]


def regression(
    *,
    model: Provided[Module],
    losses: Provided[Mapping[str, Loss]],
    labels: Provided[Sequence[str]],
    inputs: Provided[Sequence[str]],
) -> Regression:
    """The task of predicting numbers: an age, a speed, a score.

    Targets are `value_b`, one number a clip, or `value_bk`, several. A source names its numbers where others name their
    classes, so the model has one output for each. Values are learned as they are written: bring those of several units
    to a like size.

    Args:
        model: takes the inputs in order, returns (B, K).
        losses: role `loss`, `(value_bk, value_bk)` to scalar, smallest where both are equal; empty when the model only
            predicts.
        labels: names of the K values.
        inputs: keys of `Batch.inputs` in the order the model takes them.

    Returns:
        A task whose `predict` gives `{"value_bk"}` and which watches `mae`.

    Raises:
        RecipeError: a loss of classes.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1))
        >>> task = regression(model=model, losses={}, labels=("age",), inputs=("clip_bcthw",))
        >>> task.readable({"value_bk": torch.tensor([[31.5]])})
        [{'age': 31.5}]
    """
    loss = losses.get("loss")
    if loss is not None:
        _check_loss(loss, len(labels))
    return Regression(model, loss, labels, inputs)


def _check_loss(loss: Loss, columns: int) -> None:
    """See that a loss is of numbers: none is smaller than that of a prediction which is right.

    Losses of classes read numbers as probabilities. With one value they are 0 whatever is predicted, with several they
    draw towards something else; neither fails, and nothing is learned.
    """
    true_bk = torch.linspace(0.25, 0.75, 2 * columns).reshape(2, columns)
    right = float(loss(true_bk, true_bk))
    others = [
        float(loss(other, true_bk)) for other in (2 * true_bk, 4 * true_bk - 2, true_bk + 1, true_bk - 1, -true_bk)
    ]
    if any(other < right - SAME for other in others) or all(abs(other - right) <= SAME for other in others):
        raise RecipeError(
            "the loss does not fit the regression task: it is not smallest where every number is predicted right",
            hint="losses of classes, such as cross_entropy, learn no numbers; write loss: smooth_l1, or l1, or mse",
        )
