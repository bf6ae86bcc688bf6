"""What a model makes of samples: its probabilities, or the features in front of its classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import torch

from zoo_registry.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.split import Split
    from zoo.model import ZooModel
    from zoo.runner.progress import Progress
    from zoo_registry.protocols import Batch

Answers = dict[int, "np.ndarray"]
"""One row for every sample that could be read, by its index in the split."""

_BATCH = 8


def probabilities(model: ZooModel, split: Split, *, views: int, workers: int | None, progress: Progress) -> Answers:
    """Probabilities of every class, the mean over the views.

    Raises:
        DataError: a model with other classes, or one that is no classifier.
    """
    if tuple(model.labels) != tuple(split.labels):
        raise DataError(
            f"{model.name} knows {len(model.labels)} classes, which are not the {len(split.labels)} of the data",
            hint="give a model that was trained on these classes, or --embed NAME, which trains a classifier itself",
        )
    reader = model._reader
    answers: Answers = {}
    for batch in _batches(model, split, views, workers, progress):
        outputs = reader.predict(model, batch)
        if "logits_bk" not in outputs:
            raise DataError(f"{model.name} is no classifier: it answers {', '.join(outputs)}")
        _gather(answers, batch, outputs["logits_bk"].softmax(dim=1))
    return _mean(answers, views)


def features(model: ZooModel, split: Split, *, views: int, workers: int | None, progress: Progress) -> Answers:
    """What enters the last linear layer of a model, the mean over the views.

    Raises:
        DataError: a model without a linear layer.
    """
    layers = [part for part in model.network.modules() if isinstance(part, torch.nn.Linear)]
    if not layers:
        raise DataError(f"{model.name} has no linear layer, whose input would be its features")
    caught: list[torch.Tensor] = []
    hook = layers[-1].register_forward_hook(lambda layer, inputs, output: caught.append(inputs[0]))
    answers: Answers = {}
    try:
        for batch in _batches(model, split, views, workers, progress):
            caught.clear()
            model(*(batch.inputs[name] for name in model.inputs))
            feature_bd = caught[-1].float()
            feature_bd = feature_bd.reshape(len(batch), -1, feature_bd.shape[-1]).mean(dim=1)
            _gather(answers, batch, feature_bd)
    finally:
        hook.remove()
    return _mean(answers, views)


def _batches(model: ZooModel, split: Split, views: int, workers: int | None, progress: Progress) -> Iterator[Batch]:
    """Prepared batches of what can be read; the rest was reported already."""
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
        max_bad=1.0,
    )
    with closing(loader), progress.task(f"predict {split.name}", len(loader), unit="batches") as task:
        for batch in loader.epoch(0):
            with torch.no_grad():
                yield preprocess(batch.to(device))
            task.advance()


def _gather(answers: Any, batch: Batch, rows_bd: torch.Tensor) -> None:
    """Keep the sum over the views of every sample."""
    for index, row in zip(batch.index.tolist(), rows_bd.double().cpu().numpy(), strict=True):
        answers[index] = answers[index] + row if index in answers else row


def _mean(answers: Answers, views: int) -> Answers:
    return {index: row / views for index, row in answers.items()}


def subset(split: Split, indexes: Sequence[int]) -> Split:
    """Some samples of a split."""
    from zoo.data.split import Split

    return Split(split.name, [split.samples[index] for index in indexes], split.labels)
