"""Mean squared error."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from zoo_plugins.losses.operands import check_alike


def mse() -> Callable[[Tensor, Tensor], Tensor]:
    """Mean of the squared differences.

    Returns:
        `(prediction, target)` to scalar, for float tensors of one shape; computed in float32.

    Raises:
        ParameterError: when called with two shapes, or without a target; nothing is broadcast.

    Example:
        >>> import torch
        >>> float(mse()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])))
        2.0
    """
    return _squared_difference


def _squared_difference(prediction: Tensor, target: Tensor) -> Tensor:
    check_alike("mse", prediction, target, "see that the task's prediction and target belong together")
    return functional.mse_loss(prediction.float(), target.float())
