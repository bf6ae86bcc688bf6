"""One or several numbers for each clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Module

from zoo_plugins.tasks.answers import answers
from zoo_plugins.tasks.regression_metrics import RegressionMetrics, true_values
from zoo_registry import Provided
from zoo_registry.errors import RecipeError
from zoo_registry.protocols import Batch, Figure, Objective, Outputs, Series

Loss = Callable[[Tensor, Tensor], Tensor]


class Regression:
    """A `zoo_registry.protocols.Task`; see `regression`."""

    views = 1
    monitor: tuple[str, Literal["max", "min"]] = ("mae", "min")

    def __init__(self, model: Module, loss: Loss | None, names: Sequence[str], inputs: Sequence[str]) -> None:
        self.state = model
        self.loss = loss
        self.names = tuple(names)
        self.inputs = tuple(inputs)

    def objectives(self) -> Sequence[Objective]:
        """One: the loss of the values."""
        return [Objective("main", list(self.state.parameters()), self._objective)]

    def after_step(self, step: int) -> None:
        """Nothing follows a step."""

    def result(self) -> Module:
        """The model."""
        return self.state

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        """`{"value_bk"}`, float32."""
        return {"value_bk": answers(model, batch, self.inputs, len(self.names), "values")}

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The mean of the views' values."""
        return {"value_bk": torch.stack([output["value_bk"] for output in outputs]).mean(dim=0)}

    def metrics(self) -> RegressionMetrics:
        """mae, rmse, r2, pearson, of several values also one by one, and loss."""
        return RegressionMetrics(self.names, self.loss)

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """Every prediction over the true value."""
        true_kb, said_kb = true_values(batch, self.names).T.tolist(), outputs["value_bk"].T.tolist()
        points = {
            name: tuple(zip(true_b, said_b, strict=True))
            for name, true_b, said_b in zip(self.names, true_kb, said_kb, strict=True)
        }
        return [Series("Predicted over true values", points, x_axis="true", y_axis="predicted", joined=False)]

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """`{NAME: number, ...}` per clip."""
        return [dict(zip(self.names, row, strict=True)) for row in outputs["value_bk"].tolist()]

    def _objective(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        if self.loss is None:
            raise RecipeError(
                "the regression task has no loss to train with", hint="write loss: smooth_l1, or l1, or mse"
            )
        true_bk = true_values(batch, self.names)
        return {"total": self.loss(self.predict(self.state, batch)["value_bk"], true_bk)}


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
        losses: role `loss`, `(value_bk, value_bk)` to scalar; empty when the model only predicts.
        labels: names of the K values.
        inputs: keys of `Batch.inputs` in the order the model takes them.

    Returns:
        A task whose `predict` gives `{"value_bk"}` and which watches `mae`.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1))
        >>> task = regression(model=model, losses={}, labels=("age",), inputs=("clip_bcthw",))
        >>> task.readable({"value_bk": torch.tensor([[31.5]])})
        [{'age': 31.5}]
    """
    return Regression(model, losses.get("loss"), labels, inputs)
