"""Softmax cross-entropy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from zoo_registry import Range
from zoo_registry.errors import ParameterError


@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross-entropy of logits (B, K) with indices (B,) or probabilities (B, K); see `cross_entropy`."""

    label_smoothing: float
    class_weights: tuple[float, ...] | None

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar, in float32 whatever the precision of the logits."""
        weight_k = None
        if self.class_weights is not None:
            classes = prediction.shape[1]
            if len(self.class_weights) != classes:
                raise ParameterError(
                    f"cross_entropy has {len(self.class_weights)} class_weights, the model has {classes} classes"
                )
            weight_k = _on_device(self.class_weights, prediction.device)
        return functional.cross_entropy(
            prediction.float(), target, weight=weight_k, label_smoothing=self.label_smoothing
        )


@lru_cache(maxsize=16)
def _on_device(class_weights: tuple[float, ...], device: torch.device) -> Tensor:
    """The weights, copied to a device once; a copy in every step would make the step wait."""
    with torch.inference_mode(False):  # the first call may come from an evaluation, the next from training
        return torch.tensor(class_weights, device=device)


def cross_entropy(
    *,
    label_smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    class_weights: list[Annotated[float, Range(ge=0)]] | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Softmax cross-entropy, `-sum_k t_k log softmax(x)_k`, averaged over the batch.

    Args:
        label_smoothing: this part of every target is spread evenly over all classes (Szegedy et al. 2016, section 7).
        class_weights: one factor a class, in the order of the labels. With indices the mean is weighted, so it is
            divided by the weights of the batch, as in torch.

    Returns:
        `(logits_bk, target)` to scalar; the target is indices `label_b` (int64) or probabilities `label_bk` (float).

    Raises:
        ParameterError: when called with logits of another number of classes than there are weights.

    Example:
        >>> round(float(cross_entropy()(torch.zeros(1, 4), torch.tensor([2]))), 4)      # log 4
        1.3863
    """
    return CrossEntropy(label_smoothing, None if class_weights is None else tuple(class_weights))
