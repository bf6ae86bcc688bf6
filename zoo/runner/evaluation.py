"""Measures a model on a split."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from zoo.distributed.processes import ALONE, Processes
from zoo.runner.device import modules_in
from zoo.runner.precision import autocast
from zoo.runner.progress import Progress
from zoo.runner.seeds import mixed_seed
from zoo_registry.protocols import Batch, Figure, Metrics, Task

if TYPE_CHECKING:
    from zoo.data import Loader


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        metrics: the task's measures by name.
        figures: the task's pictures, one for each title; empty unless asked for.
        samples: how many were measured.
        seconds: how long it took, decoding included.
    """

    metrics: dict[str, float]
    figures: list[Figure] = field(default_factory=list)
    samples: int = 0
    seconds: float = 0.0


def evaluate(
    task: Task,
    model: Callable[..., Any],
    loader: Loader,
    *,
    preprocess: Callable[[Batch], Batch],
    device: torch.device,
    precision: str = "auto",
    progress: Progress | None = None,
    figures: bool = False,
    title: str = "",
    between: Callable[[], None] = lambda: None,
    processes: Processes = ALONE,
) -> Evaluation:
    """Measure a model on a split; the views of a sample are predicted one after the other and merged by the task.

    A sample of which only some views arrived is left out, as one of which none arrived. What a task draws at random
    while it predicts is the same every time.

    Args:
        task: says what to predict and measure.
        model: `task.result()`, or anything called the same way: a compressed module, an exported file.
        loader: batches for evaluation; rows are sample-major, the views of a sample adjacent.
        preprocess: from uint8 clips to what the model takes, on the device.
        device: where the model is.
        precision: auto, fp32 or bf16.
        progress: shows how far it is.
        figures: make the task's pictures too.
        title: what progress calls it; the split's name by default.
        between: called after every batch; may raise to stop.
        processes: those that measure together, each with its own share of the split; all come to the same measures.

    Returns:
        The task's measures and pictures.

    Example:
        >>> evaluate(task, task.result(), loader, preprocess=preprocess, device=device).metrics    # doctest: +SKIP
        {'accuracy': 0.98, ...}
    """
    started, samples = time.perf_counter(), 0
    views = int(getattr(loader, "views", 1))
    metrics, pictures = task.metrics(), _Pictures()
    progress = progress or Progress(quiet=True)
    total = None if getattr(loader, "batches", 0) is None else len(loader)  # nobody knows how long a stream is
    watched = progress.task(title or loader.split.name, total, unit="batches")
    with watched, _evaluation_mode(task, model, device), autocast(device, precision):
        for arrived in loader.epoch(0):
            batch = complete_samples(arrived, views)
            if len(batch):
                batch = preprocess(batch.to(device, non_blocking=True))
                seen = [batch.rows(slice(view, None, views)) for view in range(views)]
                said = [task.predict(model, rows) for rows in seen]
                outputs = said[0] if views == 1 else task.merge(said)
                metrics.update(outputs, seen[0])
                if figures:
                    pictures.add(task.figures(outputs, seen[0]))
                samples += len(seen[0])
            watched.advance()
            between()
        _take_in_others(processes, device, metrics, pictures)
        samples = sum(processes.gathered(samples))
        measured = {name: float(value) for name, value in metrics.compute().items()}
    return Evaluation(measured, pictures.all(), samples, time.perf_counter() - started)


def _take_in_others(processes: Processes, device: torch.device, metrics: Metrics, pictures: _Pictures) -> None:
    """Have every process know what all have seen, put together in the same order."""
    if processes.count == 1:
        return
    seen = processes.gathered_onto(device, (metrics, pictures.all()))
    metrics.reset()
    pictures.clear()
    for theirs, figures in seen:
        metrics.merge(theirs)
        pictures.add(figures)
    for module in modules_in(metrics):
        for part in module.modules():
            if hasattr(part, "sync_on_compute"):  # torchmetrics would add the processes up once more
                part.sync_on_compute = False  # type: ignore[assignment]


def complete_samples(batch: Batch, views: int) -> Batch:
    """The rows of samples of which every view is there; the batch itself when that is all of them."""
    if views == 1:
        return batch
    index = batch.index.tolist()
    kept = [row for row, sample in enumerate(index) if index.count(sample) == views]
    if len(kept) == len(index):
        return batch
    return Batch(
        {key: value[kept] for key, value in batch.inputs.items()},
        {key: _take(value, kept) for key, value in batch.targets.items()},
        batch.index[kept],
        batch.view[kept],
    )


def _take(value: Any, rows: list[int]) -> Any:
    return [value[row] for row in rows] if isinstance(value, list) else value[rows]


class _Pictures:
    """Figures by title; those of one title are added up."""

    def __init__(self) -> None:
        self._by_title: dict[str, Any] = {}

    def add(self, figures: Sequence[Figure]) -> None:
        for figure in figures:
            known = self._by_title.get(figure.title)
            self._by_title[figure.title] = figure if known is None else known + figure

    def clear(self) -> None:
        self._by_title.clear()

    def all(self) -> list[Figure]:
        return list(self._by_title.values())


@contextmanager
def _evaluation_mode(task: Task, model: Callable[..., Any], device: torch.device) -> Iterator[None]:
    """No gradients, eval mode, own random numbers; everything as before afterwards.

    `no_grad` rather than `inference_mode`: a tensor that a model caches on its first call (position tables) would
    be an inference tensor, and the next training step that meets it would fail.
    """
    modules = [module for module in {task.state, model} if isinstance(module, torch.nn.Module)]
    training = [part for module in modules for part in module.modules() if part.training]
    with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(mixed_seed("evaluation"))
        for module in modules:
            module.eval()
        try:
            yield
        finally:
            for part in training:
                part.training = True
