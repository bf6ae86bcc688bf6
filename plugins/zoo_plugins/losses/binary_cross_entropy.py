"""Sigmoid cross-entropy, every class by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from zoo_plugins.losses.operands import check_alike
from zoo_registry import Range
from zoo_registry.errors import ParameterError


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Mean cross-entropy of logits (B, K) with probabilities (B, K); see `binary_cross_entropy`."""

    label_smoothing: float
    positive_weights: tuple[float, ...] | None

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar, in float32 whatever the precision of the logits."""
        hint = "its targets are rows of 0 and 1, `label_bk`; class indices want cross_entropy"
        check_alike("binary_cross_entropy", prediction, target, hint)
        weight_k = None
        if self.positive_weights is not None:
            if len(self.positive_weights) != prediction.shape[-1]:
                raise ParameterError(
                    f"binary_cross_entropy has {len(self.positive_weights)} positive_weights, the model has "
                    f"{prediction.shape[-1]} classes",
                    hint="write one factor a class, in the order of the labels",
                )
            weight_k = _on_device(self.positive_weights, prediction.device)
        smooth = target.float() * (1 - self.label_smoothing) + self.label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(prediction.float(), smooth, pos_weight=weight_k)


@lru_cache(maxsize=16)
def _on_device(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """The weights, copied to a device once; a copy in every step would make the step wait."""
    with torch.inference_mode(False):  # the first call may come from an evaluation, the next from training
        return torch.tensor(weights, device=device)


def binary_cross_entropy(
    *,
    label_smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    positive_weights: list[Annotated[float, Range(ge=0)]] | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Sigmoid cross-entropy, `-t log s(x) - (1 - t) log(1 - s(x))`, averaged over samples and classes.

    For several labels a clip: every class is a question of its own. It takes logits (torch calls this one
    `binary_cross_entropy_with_logits`).

    Args:
        label_smoothing: targets become `t (1 - e) + e / 2`.
        positive_weights: one factor a class for what is there, in the order of the labels (torch's `pos_weight`).

    Returns:
        `(logits_bk, label_bk)` to scalar; targets are probabilities, mostly 0 and 1.

    Raises:
        ParameterError: when called with two shapes, or with logits of another number of classes than there are weights.

    Example:
        >>> round(float(binary_cross_entropy()(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 1.0]]))), 4)      # log 2
        0.6931
    """
    return BinaryCrossEntropy(label_smoothing, None if positive_weights is None else tuple(positive_weights))
