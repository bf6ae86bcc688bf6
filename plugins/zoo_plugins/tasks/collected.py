"""All of a split's predictions and targets, for measures that need every one of them at once."""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor


class Collected:
    """Predictions and targets (B, K) of the batches so far, and the sum of their losses.

    They stay on the device of the model until they are asked for, so that no batch waits.

    Example:
        >>> collected = Collected()
        >>> collected.add(torch.tensor([[0.5]]), torch.tensor([[1.0]]), torch.tensor(0.25))
        >>> collected.all(), collected.mean_loss()
        ((tensor([[0.5000]]), tensor([[1.]])), 0.25)
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._losses: list[tuple[Tensor, int]] = []

    def __len__(self) -> int:
        return sum(len(prediction) for prediction, _ in self._pairs)

    def add(self, prediction_bk: Tensor, target_bk: Tensor, loss: Tensor | None = None) -> None:
        """Take in one batch; `loss` is the mean over its samples."""
        self._pairs.append((prediction_bk, target_bk))
        if loss is not None:
            self._losses.append((loss, len(prediction_bk)))

    def all(self) -> tuple[Tensor, Tensor]:
        """Predictions and targets of every sample so far, (N, K) on the CPU; at least one was added."""
        predictions, targets = zip(*self._pairs, strict=True)
        return torch.cat(predictions).cpu(), torch.cat(targets).cpu()

    def mean_loss(self) -> float:
        """Over samples, not batches; NaN where there was none."""
        count = sum(samples for _, samples in self._losses)
        return sum(float(loss) * samples for loss, samples in self._losses) / count if count else nan

    def merge(self, other: Collected) -> None:
        """Take in what another has collected; the other stays as it is."""
        self._pairs += other._pairs
        self._losses += other._losses

    def clear(self) -> None:
        """Forget everything."""
        self._pairs.clear()
        self._losses.clear()
