"""One label for each clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Module

from zoo_plugins.tasks.classification_metrics import HINT, ClassificationMetrics, true_labels
from zoo_plugins.tasks.one_model import Loss, OneModelTask, target_of
from zoo_registry import Provided
from zoo_registry.protocols import Batch, Figure, FilmStrip, Matrix, Outputs, Strip


class Classification(OneModelTask):
    """A `zoo_registry.protocols.Task`; see `classification`."""

    name, answer, columns, fitting = "classification", "logits_bk", "classes", "cross_entropy"
    monitor: tuple[str, Literal["max", "min"]] = ("accuracy", "max")

    def target(self, batch: Batch) -> Tensor:
        """`label_bk` where an augmentation mixed classes, else `label_b`."""
        return target_of(batch, ("label_bk", "label_b"), self.name, HINT)

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The mean of the views' probabilities, as logits whose softmax it is."""
        views_vbk = torch.stack([output["logits_bk"].log_softmax(dim=1) for output in outputs])
        return {"logits_bk": views_vbk.logsumexp(dim=0) - log(len(outputs))}

    def metrics(self) -> ClassificationMetrics:
        """accuracy, top5 (from 6 classes on), precision, recall, f1, the last three also by class, and loss."""
        return ClassificationMetrics(self.labels, self.loss)

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """The confusion matrix, and the clips it was most sure about and wrong."""
        score_b, said_b = outputs["logits_bk"].softmax(dim=1).max(dim=1)
        true_b = true_labels(batch)
        classes = len(self.labels)
        counts = torch.bincount(true_b * classes + said_b, minlength=classes**2).reshape(classes, classes)
        matrix = Matrix(
            "Confusion matrix", self.labels, self.labels, counts.cpu().numpy(), row_axis="true", column_axis="predicted"
        )
        rows = zip(
            batch.index.tolist(), batch.view.tolist(), true_b.tolist(), said_b.tolist(), score_b.tolist(), strict=True
        )
        strips = tuple(
            Strip(index, view, f"{self.labels[true]}, taken for {self.labels[said]} ({score:.0%})", score)
            for index, view, true, said, score in rows
            if true != said
        )
        return [matrix, FilmStrip("Most confidently wrong", strips)]

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """`{"top5": [{"label", "score"}, ...]}` per clip, likeliest first; scores are probabilities."""
        likeliest = outputs["logits_bk"].softmax(dim=1).topk(min(5, len(self.labels)), dim=1)
        return [
            {"top5": [{"label": self.labels[k], "score": score} for k, score in zip(indices, scores, strict=True)]}
            for indices, scores in zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
        ]


def classification(
    *,
    model: Provided[Module],
    losses: Provided[Mapping[str, Loss]],
    labels: Provided[Sequence[str]],
    inputs: Provided[Sequence[str]],
) -> Classification:
    """The task of giving each clip one label.

    Targets are `label_b` (int64 indices), or in training `label_bk` (float probabilities, as mixing augmentations
    make them), which go first.

    Args:
        model: takes the inputs in order, returns logits (B, K).
        losses: role `loss`, `(logits_bk, target)` to scalar; empty when the model only predicts.
        labels: the K class names.
        inputs: keys of `Batch.inputs` in the order the model takes them.

    Returns:
        A task whose `predict` gives `{"logits_bk"}` and which watches `accuracy`.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
        >>> task = classification(model=model, losses={}, labels=("cat", "dog"), inputs=("clip_bcthw",))
        >>> batch = Batch({"clip_bcthw": torch.zeros(1, 3, 1, 2, 2)}, {}, torch.tensor([0]), torch.tensor([0]))
        >>> task.predict(task.result(), batch)["logits_bk"].shape
        torch.Size([1, 2])
    """
    return Classification(model, losses.get("loss"), labels, inputs)
