"""Any number of labels for each clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Module, functional

from zoo_plugins.tasks.multilabel_metrics import THRESHOLD, MultilabelMetrics, true_rows
from zoo_plugins.tasks.one_model import Loss, OneModelTask
from zoo_registry import Provided
from zoo_registry.protocols import Batch, Figure, FilmStrip, Outputs, Strip


class MultilabelClassification(OneModelTask):
    """A `zoo_registry.protocols.Task`; see `multilabel_classification`."""

    name, answer, columns = "multilabel_classification", "logits_bk", "classes"
    fitting = "binary_cross_entropy"
    monitor: tuple[str, Literal["max", "min"]] = ("map", "max")

    def target(self, batch: Batch) -> Tensor:
        """`label_bk`; the sigmoid of each logit is the probability of its label."""
        return true_rows(batch)

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The mean of the views' probabilities, as logits whose sigmoid it is."""
        views_vbk = torch.stack([output["logits_bk"] for output in outputs])
        # log p - log (1 - p), each a mean taken in logarithms: exact also where p rounds to 0 or 1.
        yes_bk, no_bk = (functional.logsigmoid(sign * views_vbk).logsumexp(dim=0) for sign in (1, -1))
        return {"logits_bk": yes_bk - no_bk}

    def metrics(self) -> MultilabelMetrics:
        """map, f1, both also by label, and loss."""
        return MultilabelMetrics(self.labels, self.loss)

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """The clips with labels it was most sure about and wrong, in either direction."""
        score_bk, true_bk = outputs["logits_bk"].sigmoid(), true_rows(batch) > THRESHOLD
        error_bk = torch.where(true_bk, 1 - score_bk, score_bk)
        worst_b, label_b = error_bk.max(dim=1)
        missed_b = true_bk.gather(1, label_b.unsqueeze(1)).squeeze(1)
        columns = (batch.index, batch.view, label_b, missed_b, worst_b)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        strips = tuple(self._wrong(rows))
        return [FilmStrip("Most confidently wrong", strips)]

    def _wrong(self, rows: Any) -> Iterator[Strip]:
        for index, view, label, missed, error in rows:
            if error > 1 - THRESHOLD:
                told = "missed" if missed else "seen, but not there"
                yield Strip(index, view, f"{self.labels[label]} {told} ({error:.0%})", error)

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """`{"labels": [{"label", "score"}, ...]}` per clip: those above 0.5, likeliest first; none may be."""
        sorted_bk = outputs["logits_bk"].sigmoid().sort(dim=1, descending=True)
        return [
            {
                "labels": [
                    {"label": self.labels[k], "score": score}
                    for k, score in zip(indices, scores, strict=True)
                    if score > THRESHOLD
                ]
            }
            for indices, scores in zip(sorted_bk.indices.tolist(), sorted_bk.values.tolist(), strict=True)
        ]


def multilabel_classification(
    *,
    model: Provided[Module],
    losses: Provided[Mapping[str, Loss]],
    labels: Provided[Sequence[str]],
    inputs: Provided[Sequence[str]],
) -> MultilabelClassification:
    """The task of giving each clip all the labels that it deserves, which may be none.

    Targets are `label_bk`, rows of 0 and 1 (sources make them of lists of class names); mixing augmentations make
    them probabilities.

    Args:
        model: takes the inputs in order, returns logits (B, K).
        losses: role `loss`, `(logits_bk, label_bk)` to scalar, mostly `binary_cross_entropy`; empty when the model only
            predicts.
        labels: the K class names.
        inputs: keys of `Batch.inputs` in the order the model takes them.

    Returns:
        A task whose `predict` gives `{"logits_bk"}` and which watches `map`, the mean average precision.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
        >>> task = multilabel_classification(model=model, losses={}, labels=("cat", "dog"), inputs=("clip_bcthw",))
        >>> task.readable({"logits_bk": torch.tensor([[0.0, 1.0]])})
        [{'labels': [{'label': 'dog', 'score': 0.7310585975646973}]}]
    """
    return MultilabelClassification(model, losses.get("loss"), labels, inputs)
