"""Mean squared error."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from zoo_registry.errors import ParameterError


def mse() -> Callable[[Tensor, Tensor], Tensor]:
    """Mean of the squared differences.

    Returns:
        `(prediction, target)` to scalar, for float tensors of one shape; computed in float32.

    Raises:
        ParameterError: when called with two shapes; nothing is broadcast.

    Example:
        >>> import torch
        >>> float(mse()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])))
        2.0
    """
    return _squared_difference


def _squared_difference(prediction: Tensor, target: Tensor) -> Tensor:
    if prediction.shape != target.shape:
        raise ParameterError(
            f"mse compares tensors of one shape, not {tuple(prediction.shape)} with {tuple(target.shape)}",
            hint="see that the task's prediction and target belong together",
        )
    return functional.mse_loss(prediction.float(), target.float())
