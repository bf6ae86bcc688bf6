"""What a model makes of samples: its probabilities, or the features in front of its classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from zoo_registry.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.decode.film import Decoder
    from zoo.data.split import Split
    from zoo.model import ZooModel
    from zoo.runner.progress import Progress
    from zoo_registry.protocols import Batch

Answers = dict[int, "np.ndarray"]
"""One row for every sample that could be read, by its index in the split."""

_BATCH = 8


def probabilities(model: ZooModel, split: Split, batches: Iterator[Batch]) -> Answers:
    """Probabilities of every class, the mean over the views.

    Args:
        model: a classifier.
        split: what it is asked about.
        batches: of that split, prepared.

    Raises:
        DataError: a model with other classes, or one that is no classifier.
    """
    if tuple(model.labels) != tuple(split.labels):
        raise DataError(
            f"{model.name} knows {len(model.labels)} classes, which are not the {len(split.labels)} of the data",
            hint="give a model that was trained on these classes, or --embed NAME, which trains a classifier itself",
        )
    reader = model.reader
    rows = _Means()
    for batch in batches:
        outputs = reader.predict(model, batch)
        if "logits_bk" not in outputs:
            raise DataError(f"{model.name} is no classifier: it answers {', '.join(outputs)}")
        rows.add(batch, outputs["logits_bk"].softmax(dim=1))
    return rows.answers()


def features(model: ZooModel, split: Split, batches: Iterator[Batch]) -> Answers:
    """What enters the last linear layer of a model, the mean over the views.

    Raises:
        DataError: a model without a linear layer.
    """
    layers = [part for part in model.network.modules() if isinstance(part, torch.nn.Linear)]
    if not layers:
        raise DataError(f"{model.name} has no linear layer, whose input would be its features")
    caught: list[torch.Tensor] = []
    hook = layers[-1].register_forward_hook(lambda layer, inputs, output: caught.append(inputs[0]))
    rows = _Means()
    try:
        for batch in batches:
            caught.clear()
            model(*(batch.inputs[name] for name in model.inputs))
            feature_bd = caught[-1].float()
            rows.add(batch, feature_bd.reshape(len(batch), -1, feature_bd.shape[-1]).mean(dim=1))
    finally:
        hook.remove()
    return rows.answers()


def prepared_batches(
    model: ZooModel, split: Split, *, views: int, workers: int | None, decoder: Decoder, progress: Progress
) -> Iterator[Batch]:
    """What a model takes, of the samples that can be read; the others were reported already."""
    from zoo.data.loading.loader import Loader
    from zoo.data.preprocess import Preprocess

    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    preprocess = Preprocess(model.clip).to(device)
    loader = Loader(
        split,
        inputs=model.inputs,
        clip=model.clip,
        audio=model.audio,
        batch=_BATCH,
        views=views,
        train=False,
        workers="auto" if workers is None else workers,
        decoder=decoder,
        max_bad=1.0,
    )
    with closing(loader), progress.task(f"predict {split.name}", len(loader), unit="batches") as task:
        for batch in loader.epoch(0):
            with torch.no_grad():
                yield preprocess(batch.to(device))
            task.advance()


class _Means:
    """The mean over the views of every sample."""

    def __init__(self) -> None:
        self._sums: Answers = {}
        self._views: Counter[int] = Counter()

    def add(self, batch: Batch, rows_bd: torch.Tensor) -> None:
        """One row for every view in a batch."""
        for index, row in zip(batch.index.tolist(), rows_bd.double().cpu().numpy(), strict=True):
            self._sums[index] = self._sums[index] + row if index in self._sums else row
            self._views[index] += 1

    def answers(self) -> Answers:
        """By the index of the sample."""
        return {index: row / self._views[index] for index, row in self._sums.items()}


def subset(split: Split, indexes: Sequence[int]) -> Split:
    """Some samples of a split, without their targets: films that should come out need not be read here."""
    from zoo.data.split import Split

    return Split(split.name, [replace(split.samples[index], targets={}) for index in indexes], split.labels)
