"""Looks for wrong labels with a model's help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.audit.findings import Finding, Place
from zoo.data.audit.label_issues import check_extra, label_findings, out_of_fold_probabilities
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from zoo.data.audit.predictions import Answers
    from zoo.data.decode.film import Decoder
    from zoo.data.split import Split
    from zoo.model import ZooModel
    from zoo.runner.progress import Progress


@dataclass(frozen=True)
class Judge:
    """Who says what a film shows.

    Attributes:
        model: a classifier of the same classes; its own predictions are taken.
        embed: any model; a classifier is trained on its features here, and never asked about what it was trained on.
        views: clips per film.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        workers: processes that decode, None for one per core.
    """

    model: str | None = None
    embed: str | None = None
    views: int = 1
    device: str = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.model and self.embed:
            raise DataError("a model and an embedding were given", hint="labels are judged by one: --model or --embed")
        if self:
            check_extra()

    def __bool__(self) -> bool:
        return bool(self.model or self.embed)


@dataclass(frozen=True)
class LabelCheck:
    """How labels were judged.

    Attributes:
        method: in words, with what it does not show.
        judged: samples that were judged.
        left_out: classes that were not, as they have too few films.
        findings: labels that are likely wrong, the likeliest mistakes first.
    """

    method: str
    judged: int = 0
    left_out: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Labelled:
    """One sample with one class.

    Attributes:
        place: where it is.
        given: its class.
        group: copies of a film share a number.
    """

    place: Place
    given: str
    group: int


def check_labels(
    splits: Mapping[str, Split], samples: Sequence[Labelled], judge: Judge, decoder: Decoder, progress: Progress
) -> LabelCheck:
    """Judge the labels of readable samples with one class each."""
    from zoo.model import load
    from zoo.runner.device import choose_device

    if not samples:
        return LabelCheck("not judged: no readable sample has exactly one class")
    model = load(judge.model or judge.embed or "", device=choose_device(judge.device))
    answers = {}
    for name in dict.fromkeys(sample.place.split for sample in samples):
        readable = [sample.place.index for sample in samples if sample.place.split == name]
        answers[name] = _asked(model, splits[name], readable, judge, decoder, progress)
    answered = [sample for sample in samples if sample.place.index in answers[sample.place.split]]
    rows_nd = np.stack([answers[sample.place.split][sample.place.index] for sample in answered])
    labels = next(iter(splits.values())).labels
    if judge.model:
        given_n = np.array([labels.index(sample.given) for sample in answered])
        method = (
            f"predictions of {judge.model}; of films that it was trained on it knows the label, right or wrong: "
            "there --embed is the better judge"
        )
        found = label_findings([sample.place for sample in answered], given_n, rows_nd, labels)
        return LabelCheck(method, len(answered), findings=tuple(found))
    return _out_of_fold(answered, rows_nd, labels, judge.embed or "")


def _asked(
    model: ZooModel, split: Split, readable: Sequence[int], judge: Judge, decoder: Decoder, progress: Progress
) -> Answers:
    """A model's answers about some samples, by their index in the split."""
    from zoo.data.audit.predictions import features, prepared_batches, probabilities, subset

    some = subset(split, readable)
    batches = prepared_batches(
        model, some, views=judge.views, workers=judge.workers, decoder=decoder, progress=progress
    )
    rows = (probabilities if judge.model else features)(model, some, batches)
    return {readable[row]: answer for row, answer in rows.items()}


def _out_of_fold(samples: Sequence[Labelled], features_nd: np.ndarray, labels: Sequence[str], embed: str) -> LabelCheck:
    """Train on features of some samples, judge the others, in turns."""
    sizes = Counter(given for given, _ in {(sample.given, sample.group) for sample in samples})
    judged = [label for label in labels if sizes[label] > 1]
    left_out = tuple(label for label in labels if sizes[label] == 1)
    method = f"out-of-fold predictions of logistic regression on features of {embed}, copies kept together"
    rows = [row for row, sample in enumerate(samples) if sample.given in judged]
    if len(judged) < 2:
        return LabelCheck("not judged: fewer than two classes have two films that differ", left_out=left_out)
    kept = [samples[row] for row in rows]
    given_n = np.array([judged.index(sample.given) for sample in kept])
    groups_n = np.array([sample.group for sample in kept])
    probabilities_nk = out_of_fold_probabilities(features_nd[rows], given_n, groups_n)
    found: Iterator[Finding] = label_findings([sample.place for sample in kept], given_n, probabilities_nk, judged)
    return LabelCheck(method, len(kept), left_out, tuple(found))
