"""Mean absolute error, plain and smooth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor
from torch.nn import functional

from zoo_plugins.losses.operands import check_alike
from zoo_registry import Range


@dataclass(frozen=True)
class AbsoluteDifference:
    """See `smooth_l1`; with a `beta` of 0 it is `l1`."""

    name: str
    beta: float

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar, in float32."""
        check_alike(self.name, prediction, target, "see that the task's prediction and target belong together")
        return functional.smooth_l1_loss(prediction.float(), target.float(), beta=self.beta)


def l1() -> Callable[[Tensor, Tensor], Tensor]:
    """Mean of the absolute differences.

    Returns:
        `(prediction, target)` to scalar, for float tensors of one shape; computed in float32.

    Raises:
        ParameterError: when called with two shapes, or without a target; nothing is broadcast.

    Example:
        >>> import torch
        >>> float(l1()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])))
        1.0
    """
    return AbsoluteDifference("l1", 0.0)


def smooth_l1(*, beta: Annotated[float, Range(gt=0)] = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """Mean of `d ** 2 / (2 beta)` where the difference d is smaller than beta, and of `|d| - beta / 2` elsewhere.

    Near its minimum it is smooth, and outliers count no more than with `l1` (Girshick 2015, "Fast R-CNN", equation 3).

    Args:
        beta: where the parabola ends, in the unit of the values.

    Returns:
        `(prediction, target)` to scalar, for float tensors of one shape; computed in float32.

    Raises:
        ParameterError: when called with two shapes, or without a target; nothing is broadcast.

    Example:
        >>> import torch
        >>> float(smooth_l1()(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 4.0])))       # (0.5 + 3.5) / 2
        2.0
    """
    return AbsoluteDifference("smooth_l1", beta)
