"""What losses compare, checked; a mistake is told in words and not in those of a tensor library."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zoo_registry.errors import ParameterError


def check_there(loss: str, target: Any, hint: str) -> None:
    """See that there is a target.

    Args:
        loss: its name, for the message.
        target: what it was given.
        hint: what to do about it.

    Raises:
        ParameterError: it is None, or no tensor.
    """
    if not isinstance(target, Tensor):
        told = "no target" if target is None else f"a target of type {type(target).__name__}"
        raise ParameterError(f"{loss} got {told} to compare the prediction with", hint=hint)


def check_alike(loss: str, prediction: Tensor, target: Any, hint: str) -> None:
    """See that there is a target of the prediction's shape.

    Raises:
        ParameterError: there is none, or it has another shape; nothing is broadcast.
    """
    check_there(loss, target, hint)
    if prediction.shape != target.shape:
        raise ParameterError(
            f"{loss} compares tensors of one shape, not {tuple(prediction.shape)} with {tuple(target.shape)}", hint=hint
        )
