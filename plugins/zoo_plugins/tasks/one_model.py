"""What the tasks here have in common: one model that answers a row for each clip, and one loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import Module

from zoo_registry.errors import DataError, PluginError, RecipeError
from zoo_registry.protocols import Batch, Objective, Outputs, Task

Loss = Callable[[Tensor, Tensor], Tensor]


class OneModelTask(Task):
    """A task whose loss compares the model's answer with a target of the batch.

    Args:
        model: takes the inputs in order, returns (B, K).
        loss: `(answer_bk, target)` to scalar, or None when the model only predicts.
        labels: names of the K columns.
        inputs: keys of `Batch.inputs` in the order the model takes them.
    """

    name: ClassVar[str]
    """Of the task, for messages."""
    answer: ClassVar[str]
    """Key of the outputs."""
    columns: ClassVar[str]
    """What the columns are, such as `classes`."""
    fitting: ClassVar[str]
    """Losses to try where there is none."""

    views = 1

    def __init__(self, model: Module, loss: Loss | None, labels: Sequence[str], inputs: Sequence[str]) -> None:
        self.state = model
        self.loss = loss
        self.labels = tuple(labels)
        self.inputs = tuple(inputs)

    @abstractmethod
    def target(self, batch: Batch) -> Tensor:
        """What the loss compares the answer with."""

    def objectives(self) -> Sequence[Objective]:
        """One: the loss of the answers."""
        return [Objective("main", list(self.state.parameters()), self._objective)]

    def result(self) -> Module:
        """The model."""
        return self.state

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        """`{answer: (B, K)}`, float32.

        Raises:
            PluginError: the model answers something else.
        """
        said = model(*(batch.inputs[name] for name in self.inputs))
        shape = tuple(said.shape) if isinstance(said, Tensor) else type(said).__name__
        wanted = (len(batch), len(self.labels))
        if shape != wanted:
            raise PluginError(
                f"the model answered {shape} to {len(batch)} clips of {len(self.labels)} {self.columns}, not {wanted}",
                hint=f"it should return a row for each clip and in it a number for each of the {self.columns}",
            )
        return {self.answer: said.float()}

    def _objective(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        if self.loss is None:
            raise RecipeError(f"the {self.name} task has no loss to train with", hint=f"write loss: {self.fitting}")
        return {"total": self.loss(self.predict(self.state, batch)[self.answer], self.target(batch))}


def target_of(batch: Batch, keys: Sequence[str], task: str, hint: str) -> Tensor:
    """The first of these targets that a batch has.

    Raises:
        DataError: it has none of them.
    """
    found = next((batch.targets[key] for key in keys if key in batch.targets), None)
    if found is None:
        there = ", ".join(batch.targets) or "no targets"
        raise DataError(f"the {task} task reads {' or '.join(keys)}, and the data have {there}", hint=hint)
    return found
