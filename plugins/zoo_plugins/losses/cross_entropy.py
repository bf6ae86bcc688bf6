"""Softmax cross-entropy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional

from zoo_plugins.losses.operands import check_there
from zoo_registry import Range
from zoo_registry.errors import ParameterError

HINT = "its targets are indices of classes, `label_b`, or probabilities, `label_bk`; numbers want smooth_l1, l1 or mse"


@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross-entropy of logits (B, K) with indices (B,) or probabilities (B, K); see `cross_entropy`."""

    label_smoothing: float
    class_weights: tuple[float, ...] | None

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar, in float32 whatever the precision of the logits."""
        self._check(prediction, target)
        weight_k = None
        if self.class_weights is not None:
            classes = prediction.shape[1]
            if len(self.class_weights) != classes:
                raise ParameterError(
                    f"cross_entropy has {len(self.class_weights)} class_weights, the model has {classes} classes",
                    hint="write one factor a class, in the order of the labels",
                )
            weight_k = _on_device(self.class_weights, prediction.device)
        if not target.is_floating_point():
            target = target.long()
        try:
            return functional.cross_entropy(
                prediction.float(), target, weight=weight_k, label_smoothing=self.label_smoothing
            )
        except IndexError as error:  # the CPU looks; on a GPU nothing waits for it
            raise ParameterError(
                f"cross_entropy got a class outside the {prediction.shape[1]} that the model has: {error}", hint=HINT
            ) from error

    def _check(self, prediction: Tensor, target: Any) -> None:
        """See that the target is one index, or one row of probabilities, for every prediction."""
        check_there("cross_entropy", target, HINT)
        if prediction.ndim < 2:
            message = f"cross_entropy takes logits (B, K), not a prediction of shape {tuple(prediction.shape)}"
            raise ParameterError(message, hint="the model should answer a row of logits for each clip")
        of_indices = (prediction.shape[0], *prediction.shape[2:])
        wanted = prediction.shape if target.is_floating_point() else of_indices
        if target.shape != wanted:
            kind = "probabilities" if target.is_floating_point() else "class indices"
            raise ParameterError(
                f"cross_entropy got {kind} of shape {tuple(target.shape)} for logits of shape "
                f"{tuple(prediction.shape)}, not {tuple(wanted)}",
                hint=HINT,
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
        ParameterError: when called with logits of another number of classes than there are weights, without a target,
            or with one of another shape or class.

    Example:
        >>> round(float(cross_entropy()(torch.zeros(1, 4), torch.tensor([2]))), 4)      # log 4
        1.3863
    """
    return CrossEntropy(label_smoothing, None if class_weights is None else tuple(class_weights))
