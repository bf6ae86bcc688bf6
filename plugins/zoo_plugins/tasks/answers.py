"""What a model answers to a batch, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from zoo_registry.errors import PluginError
from zoo_registry.protocols import Batch


def answers(model: Callable[..., Any], batch: Batch, inputs: Sequence[str], columns: int, meaning: str) -> Tensor:
    """A row for each clip, float32.

    Args:
        model: takes the inputs in order.
        batch: preprocessed.
        inputs: keys of `Batch.inputs`.
        columns: how many numbers a row should have.
        meaning: what they are, such as `classes`.

    Returns:
        (B, columns).

    Raises:
        PluginError: the model answers something else.
    """
    answer = model(*(batch.inputs[name] for name in inputs))
    shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
    wanted = (len(batch), columns)
    if shape != wanted:
        raise PluginError(
            f"the model answered {shape} to {len(batch)} clips of {columns} {meaning}, not {wanted}",
            hint=f"it should return a row for each clip and in it a number for each of the {meaning}",
        )
    return answer.float()
