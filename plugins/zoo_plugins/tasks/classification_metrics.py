"""How often a classifier is right, by torchmetrics."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Any

import torch
from torch import Tensor

from zoo_plugins.tasks.one_model import target_of
from zoo_registry.protocols import Batch, Outputs

HINT = "give every sample a class (a manifest's column `label`, or a folder for each class)"


class ClassificationMetrics:
    """Running measures of `{"logits_bk"}` against `label_b`; a `zoo_registry.protocols.Metrics`.

    `compute` gives `accuracy`, `precision`, `recall`, `f1` (the last three averaged over classes, torchmetrics' macro),
    `precision/LABEL`, `recall/LABEL`, `f1/LABEL` (NaN for a class that was not seen), `top5` from six classes on, and
    `loss` where there is one.

    Args:
        labels: the K class names.
        loss: `(logits_bk, target)` to scalar, or None.

    Example:
        >>> metrics = ClassificationMetrics(("cat", "dog"), None)
        >>> logits_bk, label_b = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
        >>> metrics.update({"logits_bk": logits_bk}, Batch({}, {"label_b": label_b}, label_b, label_b))
        >>> metrics.compute()["accuracy"]
        0.5
    """

    def __init__(self, labels: Sequence[str], loss: Callable[[Tensor, Tensor], Tensor] | None) -> None:
        self._labels = tuple(labels)
        self._loss = loss
        self._collection: Any = None
        self._mean_loss: Any = None

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Take in one batch."""
        logits_bk = outputs["logits_bk"]
        if self._collection is None:
            self._collection, self._mean_loss = _torchmetrics(len(self._labels), logits_bk.device)
        label_b = true_labels(batch)
        self._collection.update(logits_bk, label_b)
        if self._loss is not None:
            self._mean_loss.update(self._loss(logits_bk, label_b), weight=len(label_b))

    def compute(self) -> Mapping[str, float]:
        """The measures so far; NaN where nothing was seen."""
        names = [f"{measure}/{label}" for measure in ("precision", "recall", "f1") for label in self._labels]
        whole = ["accuracy", *(["top5"] if len(self._labels) > 5 else []), "precision", "recall", "f1"]
        if self._collection is None:
            return dict.fromkeys([*whole, *(["loss"] if self._loss else []), *names], nan)
        computed = self._collection.compute()
        values = {name: float(computed[name]) for name in whole}
        if self._loss is not None:
            values["loss"] = float(self._mean_loss.compute())
        seen = (computed["support"].reshape(len(self._labels), -1)[:, -1] > 0).tolist()  # flat where there is one class
        for measure in ("precision", "recall", "f1"):
            by_class = computed[f"{measure}_k"].reshape(-1).tolist()
            values |= {
                f"{measure}/{label}": value if there else nan
                for label, value, there in zip(self._labels, by_class, seen, strict=True)
            }
        return values

    def merge(self, other: ClassificationMetrics) -> None:
        """Take in what another has seen of the same split, such as another process; the other stays as it is."""
        if self._collection is None:
            self._collection, self._mean_loss = copy.deepcopy((other._collection, other._mean_loss))
        elif other._collection is not None:
            theirs = dict(other._collection.items(copy_state=False))
            for name, measure in self._collection.items(copy_state=False):
                measure.merge_state(theirs[name])
            self._mean_loss.merge_state(other._mean_loss)

    def reset(self) -> None:
        """Forget everything."""
        self._collection = self._mean_loss = None


def true_labels(batch: Batch) -> Tensor:
    """(B,) int64: `label_b`, or the likeliest class of soft labels.

    Raises:
        DataError: the batch has neither.
    """
    label = target_of(batch, ("label_b", "label_bk"), "classification", HINT)
    return label.argmax(dim=1) if label.ndim > 1 else label


def _torchmetrics(classes: int, device: torch.device) -> tuple[Any, Any]:
    """The collection, whose members share one set of counts, and the mean of the loss. Importing takes seconds."""
    from torchmetrics import MeanMetric, MetricCollection
    from torchmetrics.classification import (
        MulticlassAccuracy,
        MulticlassF1Score,
        MulticlassPrecision,
        MulticlassRecall,
        MulticlassStatScores,
    )

    def measure(kind: type, average: str | None, **options: Any) -> Any:
        return kind(num_classes=classes, average=average, validate_args=False, **options)

    measures = {
        "accuracy": measure(MulticlassAccuracy, "micro"),
        "support": measure(MulticlassStatScores, None),
    }
    kinds = {"precision": MulticlassPrecision, "recall": MulticlassRecall, "f1": MulticlassF1Score}
    for name, kind in kinds.items():
        measures |= {name: measure(kind, "macro"), f"{name}_k": measure(kind, None)}
    if classes > 5:
        measures["top5"] = measure(MulticlassAccuracy, "micro", top_k=5)
    return MetricCollection(measures).to(device), MeanMetric().to(device)
