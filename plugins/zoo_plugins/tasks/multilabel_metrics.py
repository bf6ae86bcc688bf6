"""How well clips are ranked for each label, by torchmetrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan

from torch import Tensor

from zoo_plugins.tasks.collected import Collected
from zoo_plugins.tasks.one_model import target_of
from zoo_registry.protocols import Batch, Outputs

THRESHOLD = 0.5
"""From this probability on a label counts as said."""


class MultilabelMetrics:
    """Running measures of `{"logits_bk"}` against `label_bk`; a `zoo_registry.protocols.Metrics`.

    `compute` gives `map` (mean average precision), `f1` (labels above 0.5), both averaged over the labels that some
    sample has, `ap/LABEL` and `f1/LABEL` (NaN for a label that no sample has), and `loss` where there is one. Average
    precision is the sum over samples in order of their score of precision times the gain in recall, as of scikit-learn.

    Args:
        labels: the K class names.
        loss: `(logits_bk, label_bk)` to scalar, or None.

    Example:
        >>> import torch
        >>> metrics = MultilabelMetrics(("cat", "dog"), None)
        >>> label_bk = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> index = torch.arange(3)
        >>> metrics.update({"logits_bk": label_bk * 2 - 1}, Batch({}, {"label_bk": label_bk}, index, index))
        >>> metrics.compute()["map"]
        1.0
    """

    def __init__(self, labels: Sequence[str], loss: Callable[[Tensor, Tensor], Tensor] | None) -> None:
        self._labels = tuple(labels)
        self._loss = loss
        self._seen = Collected()

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Take in one batch."""
        logits_bk, label_bk = outputs["logits_bk"], true_rows(batch)
        loss = None if self._loss is None else self._loss(logits_bk, label_bk)
        self._seen.add(logits_bk.sigmoid(), label_bk > THRESHOLD, loss)

    def compute(self) -> Mapping[str, float]:
        """The measures so far; NaN where nothing was seen."""
        by_label = {"ap": [nan] * len(self._labels), "f1": [nan] * len(self._labels)}
        if len(self._seen):
            by_label = _by_label(*self._seen.all())
        values = {"map": _mean(by_label["ap"]), "f1": _mean(by_label["f1"])}
        if self._loss is not None:
            values["loss"] = self._seen.mean_loss()
        for measure, each in by_label.items():
            values |= {f"{measure}/{label}": value for label, value in zip(self._labels, each, strict=True)}
        return values

    def merge(self, other: MultilabelMetrics) -> None:
        """Take in what another has seen of the same split, such as another process; the other stays as it is."""
        self._seen.merge(other._seen)

    def reset(self) -> None:
        """Forget everything."""
        self._seen.clear()


def true_rows(batch: Batch) -> Tensor:
    """(B, K) float32: `label_bk`.

    Raises:
        DataError: the batch has none.
    """
    hint = "give every sample its labels (a manifest's column `labels`)"
    return target_of(batch, ("label_bk",), "multilabel_classification", hint)


def _by_label(score_nk: Tensor, true_nk: Tensor) -> dict[str, list[float]]:
    """Measures of every label, NaN for one that no sample has. Importing torchmetrics takes seconds."""
    from torchmetrics.functional.classification import binary_average_precision, multilabel_f1_score

    f1_k = multilabel_f1_score(
        score_nk, true_nk.int(), num_labels=true_nk.shape[1], threshold=THRESHOLD, average=None, validate_args=False
    )
    there = true_nk.any(dim=0).tolist()
    columns = zip(score_nk.T, true_nk.int().T, strict=True)
    return {
        "ap": [
            float(binary_average_precision(score_n, true_n, validate_args=False)) if some else nan
            for (score_n, true_n), some in zip(columns, there, strict=True)
        ],
        "f1": [value if some else nan for value, some in zip(f1_k.tolist(), there, strict=True)],
    }


def _mean(values: Sequence[float]) -> float:
    """Of those that are there."""
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else nan
