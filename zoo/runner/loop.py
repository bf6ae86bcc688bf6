"""The training loop. It knows no task, model or loss by name; what stands around it is in `zoo.runner.training`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn.utils import clip_grad_norm_

from zoo.recipe.schema import RecipeSchema
from zoo.runner.checkpoint import Checkpoints
from zoo.runner.copies import Copies
from zoo.runner.device import autocast, backward_kernels, place
from zoo.runner.events import TensorBoardEvents
from zoo.runner.folder import RunFolder
from zoo.runner.freeze import Frozen
from zoo.runner.gradient_checkpointing import statistics_kept
from zoo.runner.losses import Losses
from zoo.runner.monitor import Monitor
from zoo.runner.observers import Observers
from zoo.runner.optim import ObjectiveOptimizer, objective_optimizers
from zoo.runner.progress import Progress
from zoo.runner.seeds import seed_everything, seeded_generator
from zoo.runner.signals import StopSignals
from zoo.runner.snapshot import Position, Snapshot
from zoo.runner.time_shares import TimeShares
from zoo.runner.training import Training
from zoo.runner.training_lock import training_lock
from zoo_registry.errors import PluginError, RunError
from zoo_registry.protocols import Augment, Batch, Task

if TYPE_CHECKING:
    from zoo.data import Loader


@dataclass(frozen=True)
class FitResult:
    """What training came to.

    Attributes:
        steps: optimiser steps taken, those before a resume included.
        epochs: epochs finished.
        best: best value of the task's monitored metric on the validation data, None without such data.
        best_epoch: the epoch it was reached in, the first is 1; the task holds the state of then.
        stopped: `finished` after all epochs, `early` when the metric had stopped improving.
        seconds: of this call.
    """

    steps: int
    epochs: int
    best: float | None
    best_epoch: int | None
    stopped: Literal["finished", "early"]
    seconds: float


def fit(
    task: Task,
    train: Loader,
    val: Loader | None,
    *,
    recipe: RecipeSchema,
    folder: RunFolder,
    augment: Augment | None,
    preprocess: Callable[[Batch], Batch],
    device: torch.device,
    progress: Progress,
    observers: Observers | None = None,
    resume: bool = False,
    network: torch.nn.Module | None = None,
    frozen: Frozen = Frozen(),
) -> FitResult:
    """Train a task and leave it in its best state: that of the best epoch with validation data, else the last.

    Args:
        task: what to learn; moved to the device.
        train: training batches.
        val: validation batches, evaluated after every epoch; None for none.
        recipe: says how, in `optim` and `run`.
        folder: gets checkpoints, `metrics.jsonl` and TensorBoard events.
        augment: changes of training batches, on the device; draws from a generator on the CPU.
        preprocess: from uint8 clips to what the model takes, on the device.
        device: where to compute.
        progress: shows how far it is.
        observers: told of every log line and epoch.
        resume: go on from the newest whole checkpoint in the folder. On the CPU, at an equal number of threads, the
            weights come out bit for bit as if nothing had happened.
        network: the recipe's model, for learning rates by layer; what the task keeps by default.
        frozen: the part of it that does not learn; see `zoo.runner.freeze`.

    Returns:
        How long it took and how good it got.

    Raises:
        NonFiniteLoss: the loss became NaN or infinite; the last good checkpoint stays.
        Interrupted: Ctrl-C or SIGTERM came; a checkpoint was written.
        RunError: the run cannot start, or the disk is full.
        ParameterError: the `optim` slot does not fit torch's optimiser or the task's objectives.

    Example:
        >>> fit(task, train, val, recipe=recipe, folder=RunFolder("runs/mine"), augment=None, preprocess=preprocess,
        ...     device=torch.device("cpu"), progress=Progress()).best                                # doctest: +SKIP
        0.98
    """
    started, run = time.perf_counter(), recipe.run
    place(task, device, run.memory_format)
    generator = torch.Generator()
    times, copies = TimeShares(train), Copies(device)
    prepare = partial(_prepare, copies=copies, augment=augment, preprocess=preprocess, generator=generator, times=times)
    observers = observers or Observers([], progress.say)
    with StopSignals() as stop, training_lock(folder.path):
        snapshot = _snapshot(task, train, recipe, network)
        checkpoints = Checkpoints(folder.checkpoints, run.checkpoint.keep, progress.say)
        training = Training(
            snapshot, val, recipe, folder, checkpoints, preprocess, device, progress, observers, stop,
            frozen=frozen, times=times,
        )  # fmt: skip
        if resume:
            training.resume()
        at = snapshot.at
        with closing(TensorBoardEvents(folder.events, at.step)) as events:
            observers.add(events)
            while at.epoch < run.epochs and not snapshot.monitor.should_stop:
                training.epoch_begin()
                title = f"{train.split.name} {at.epoch + 1}/{run.epochs}"
                with progress.task(title, len(train), unit="batches", done=at.batches) as bar:
                    for window in windows(_rest_of_epoch(train, at), run.accumulate):
                        seed_everything(run.seed, "step", at.step)
                        seeded_generator(generator, run.seed, "augment", at.step)
                        train_step(training, window, prepare)
                        training.step_end(len(window), sum(map(len, window)), bar)
                training.epoch_end()
        training.take_best()
    monitor = snapshot.monitor
    stopped: Literal["finished", "early"] = "finished" if at.epoch >= run.epochs else "early"
    return FitResult(at.step, at.epoch, monitor.best, monitor.best_epoch, stopped, time.perf_counter() - started)


def train_step(training: Training, window: Sequence[Batch], prepare: Callable[[Batch], Batch]) -> None:
    """One optimiser step of every objective whose turn it is, over one window of accumulated batches.

    Args:
        training: the run.
        window: uint8 batches on the CPU.
        prepare: from those to what the model takes, on the device.
    """
    run, at, optimizers = training.recipe.run, training.at, training.optimizers
    shared: list[dict[str, Any]] = [{} for _ in window]
    due = [optimizer for optimizer in optimizers if at.step % optimizer.objective.every == 0]
    ready: Iterable[Batch] = map(prepare, window)  # each right before it is used: float clips are large
    if len(due) > 1:
        ready = list(ready)  # every objective is to see the same
    for optimizer in due:
        objective = optimizer.objective
        with only_these_learn(optimizer, optimizers):
            optimizer.zero_grad()
            for loaded, batch, left_by_others in zip(window, ready, shared, strict=True):
                training.frozen.hold()  # a task may have switched modes
                with autocast(training.device, run.precision):
                    terms = objective.loss(batch, left_by_others)
                if "total" not in terms:
                    raise PluginError(f"objective {objective.name!r} returned no 'total' but {', '.join(terms)}")
                kept = statistics_kept(training.task.state) if run.gradient_checkpointing else nullcontext()
                with kept, backward_kernels(training.device, run.precision):
                    (terms["total"] / len(window)).backward()  # type: ignore[no-untyped-call]
                training.note(optimizer, terms, loaded.index)
            if run.clip_grad_norm is not None:
                clip_grad_norm_(optimizer.parameters, run.clip_grad_norm)
            optimizer.step(at.epoch)
    training.task.after_step(at.step)


def windows(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches, whose gradients are averaged for one step; the last of an epoch may be shorter."""
    window: list[Batch] = []
    for batch in batches:
        window.append(batch)
        if len(window) == size:
            yield window
            window = []
    if window:
        yield window


@contextmanager
def only_these_learn(learning: ObjectiveOptimizer, optimizers: Sequence[ObjectiveOptimizer]) -> Iterator[None]:
    """Only one objective's parameters require gradients; with a single objective there is nothing to do."""
    others = [parameter for other in optimizers if other is not learning for parameter in other.parameters]
    for parameter in others:
        parameter.requires_grad_(False)
    for parameter in learning.parameters if others else ():
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


def _prepare(
    batch: Batch,
    *,
    copies: Copies,
    augment: Augment | None,
    preprocess: Callable[[Batch], Batch],
    generator: torch.Generator,
    times: TimeShares,
) -> Batch:
    """From the loader's uint8 clips to what the model takes."""
    with times.measure("copy"):
        batch = copies(batch)
    with times.measure("augment"):
        return preprocess(augment(batch, generator) if augment is not None else batch)


def _rest_of_epoch(train: Loader, at: Position) -> Iterator[Batch]:
    """What a resumed run has not consumed yet; nothing when it stopped between the last step and validation."""
    return train.epoch(at.epoch, at.batches) if at.batches < len(train) else iter(())


def _snapshot(task: Task, train: Loader, recipe: RecipeSchema, network: torch.nn.Module | None) -> Snapshot:
    """A run at its beginning."""
    from zoo.data.stream_split import name_of

    run, objectives = recipe.run, task.objectives()
    if recipe.optim is None:
        raise RunError("the recipe has no optim, so there is nothing to fit", hint="name an optimiser, such as adamw")
    if getattr(train, "batches", 0) is None:
        raise RunError(
            f"nobody knows how many samples an epoch of the {train.split.name} split has: it is a stream",
            hint="write `samples: NUMBER` in the params of data.train",
        )
    total = run.epochs * -(-len(train) // run.accumulate)
    return Snapshot(
        task=task,
        optimizers=objective_optimizers(task, objectives, recipe.optim, total, network),
        at=Position(),
        monitor=Monitor(task.monitor[1], run.early_stop),
        losses=Losses(lambda index: name_of(train.split, index)),
    )
