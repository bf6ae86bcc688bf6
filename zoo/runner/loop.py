"""The training loop. It knows no task, model or loss by name.

One step is in `zoo.runner.step`; what stands around the loop is in `zoo.runner.training`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal

import torch

from zoo.distributed.averaged import AveragedObjective, synchronised_norms
from zoo.distributed.processes import ALONE, Processes
from zoo.distributed.sharded import Divided, ShardedObjective, divide, put_together
from zoo.optim.averaging import make_average
from zoo.optim.objective_optimizer import objective_optimizers
from zoo.recipe.schema import RecipeSchema, RunSlot
from zoo.runner.checkpoint import Checkpoints
from zoo.runner.compilation import compiled
from zoo.runner.copies import Copies
from zoo.runner.device import place
from zoo.runner.events import TensorBoardEvents
from zoo.runner.folder import RunFolder
from zoo.runner.freeze import Frozen
from zoo.runner.losses import Losses
from zoo.runner.monitor import Monitor
from zoo.runner.observers import FirstOfEpoch, Observers
from zoo.runner.precision import gradient_scaler
from zoo.runner.preparation import Preparation
from zoo.runner.profile import StepProfile
from zoo.runner.progress import Progress
from zoo.runner.setbacks import out_of_memory
from zoo.runner.signals import StopSignals
from zoo.runner.snapshot import Position, Snapshot
from zoo.runner.step import only_these_learn, train_step, windows
from zoo.runner.time_shares import TimeShares
from zoo.runner.training import Training
from zoo.runner.training_lock import training_lock
from zoo_registry.errors import NonFiniteLoss, RunError
from zoo_registry.protocols import Augment, Batch, Task

if TYPE_CHECKING:
    from zoo.data import Loader


_BATCHES_FOR_STATISTICS = 200
"""Training batches by which an average of the weights measures its batch norms anew."""


@dataclass(frozen=True)
class FitResult:
    """What training came to.

    Attributes:
        steps: optimiser steps taken, those before a resume included.
        epochs: epochs finished.
        best: best value of the task's monitored metric on the validation data, None without such data.
        best_epoch: the epoch it was reached in, the first is 1; the task holds the state of then.
        stopped: `finished` after all epochs, `early` when the metric had stopped improving, `time` when the time was
            over.
        seconds: of this call.
        clips: how many were learnt from, those before a resume included.
        skipped: steps left out because gradients were not finite.
    """

    steps: int
    epochs: int
    best: float | None
    best_epoch: int | None
    stopped: Literal["finished", "early", "time"]
    seconds: float
    clips: int
    skipped: int = 0


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
    processes: Processes = ALONE,
    profile: StepProfile | None = None,
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
        processes: those that train together, each with its own share of `train` and `val`.
        profile: what watches some steps closely.

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
    started, run, given = time.perf_counter(), recipe.run, task
    network = task.result() if network is None else network
    observers = observers or Observers([], progress.say)
    place(task, device, run.memory_format)
    divided: Divided | None = None
    if run.strategy == "fsdp" and processes.count > 1:
        with processes.agreeing():
            divided = divide(task, network, frozen, processes, device)
        task, network, frozen = divided.task, divided.network, divided.frozen
    times = TimeShares(train, events=_events_of(device))
    prepare = Preparation(Copies(device), augment, preprocess, times, FirstOfEpoch(observers))
    with ExitStack() as around:
        stop = around.enter_context(StopSignals())
        if processes.main:
            around.enter_context(training_lock(folder.path))
        around.enter_context(compiled(network, run.compilation))
        around.enter_context(synchronised_norms(task.state, run.sync_batch_norm and processes.count > 1))
        with processes.agreeing():
            snapshot = _snapshot(task, train, recipe, network, device, processes)
        checkpoints = Checkpoints(folder.checkpoints, run.checkpoint.keep, progress.say, processes)
        training = Training(
            snapshot, val, recipe, folder, checkpoints, preprocess, device, progress, observers, stop,
            frozen=frozen, times=times, processes=processes, micro_batch=_rows_at_once(run, task),
            ends=None if run.max_time is None else started + run.max_time,
            averaged=_averaged(snapshot, processes, run, divided), weigh=getattr(train, "weight", lambda batch: 1.0),
            statistics=lambda: map(prepare, islice(train.epoch(snapshot.at.epoch), _BATCHES_FOR_STATISTICS)),
            profile=profile,
        )  # fmt: skip
        training.begin(resume)
        if processes.main:
            observers.add(around.enter_context(closing(TensorBoardEvents(folder.events, snapshot.at.step))))
        if profile is not None:
            around.enter_context(closing(profile))
        while training.goes_on:
            try:
                _epoch(training, train, prepare)
            except NonFiniteLoss as error:
                training.setbacks.back_off(training, error)
        training.take_best()
        if divided is not None:
            put_together(divided.task, given)
    return _result(training, time.perf_counter() - started)


def _epoch(training: Training, train: Loader, prepare: Preparation) -> None:
    """What is left of an epoch, and what follows it."""
    run, at = training.recipe.run, training.at
    training.epoch_begin()
    prepare.shown.begin(at.step)
    title = f"{train.split.name} {at.epoch + 1}/{run.epochs}"
    with training.progress.task(title, len(train), unit="batches", done=at.batches) as bar:
        for window in together(windows(_rest_of_epoch(train, at), run.accumulate), training.processes):
            prepare.seed(run.seed, at.step, training.processes.rank)
            while (failure := _out_of_memory_in(training, window, prepare)) is not None:
                training.setbacks.halve(training, window, failure)
                prepare.seed(run.seed, at.step, training.processes.rank)
            training.step_end(len(window), sum(map(len, window)), bar)
            if training.out_of_time:
                return
    with training.unprofiled:
        training.epoch_end()


def together(steps: Iterator[list[Batch]], processes: Processes) -> Iterator[list[Batch]]:
    """The windows of an epoch, as long as every process has one: shards of a stream may be of unequal length."""
    while True:
        window = next(steps, None)
        if processes.any(window is None):
            return
        assert window is not None
        yield window


def _out_of_memory_in(training: Training, window: Sequence[Batch], prepare: Callable[[Batch], Batch]) -> str | None:
    """Take a step; what torch said where memory ran out before any parameter changed, so that it can be repeated."""
    steps = [optimizer.steps for optimizer in training.optimizers]
    try:
        train_step(training, window, prepare)
    except Exception as error:
        if not out_of_memory(error) or steps != [optimizer.steps for optimizer in training.optimizers]:
            raise
        failure = str(error)
    else:
        return None
    training.losses.forget()  # those of the parts that went well come again
    if training.device.type == "cuda":
        torch.cuda.empty_cache()
    return failure


def _events_of(device: torch.device) -> Callable[[], torch.cuda.Event] | None:
    """What makes events with a time, on a GPU."""
    return partial(torch.cuda.Event, enable_timing=True) if device.type == "cuda" else None


def _rows_at_once(run: RunSlot, task: Task) -> int | None:
    """`run.micro_batch` in rows of a batch, of which every sample has one for each view."""
    return run.micro_batch * task.views if isinstance(run.micro_batch, int) else None


def _averaged(
    snapshot: Snapshot, processes: Processes, run: RunSlot, divided: Divided | None
) -> Mapping[str, AveragedObjective | ShardedObjective]:
    """The objectives of several processes, each built while only its parameters learn."""
    if processes.count == 1:
        return {}
    if divided is not None:
        return {snapshot.optimizers[0].objective.name: divided.objective}
    averaged = {}
    for optimizer in snapshot.optimizers:
        with only_these_learn(optimizer, snapshot.optimizers):
            averaged[optimizer.objective.name] = AveragedObjective(
                optimizer, snapshot.task.state, unused=run.find_unused_parameters
            )
    return averaged


def _result(training: Training, seconds: float) -> FitResult:
    at, monitor = training.at, training.monitor
    stopped: Literal["finished", "early", "time"] = (
        "finished" if at.epoch >= training.epochs else "time" if training.out_of_time else "early"
    )
    return FitResult(
        at.step, at.epoch, monitor.best, monitor.best_epoch, stopped, seconds, at.clips, training.setbacks.skipped
    )


def _rest_of_epoch(train: Loader, at: Position) -> Iterator[Batch]:
    """What a resumed run has not consumed yet; nothing when it stopped between the last step and validation."""
    return train.epoch(at.epoch, at.batches) if at.batches < len(train) else iter(())


def _snapshot(
    task: Task,
    train: Loader,
    recipe: RecipeSchema,
    network: torch.nn.Module,
    device: torch.device,
    processes: Processes,
) -> Snapshot:
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
        optimizers=objective_optimizers(task, objectives, recipe.optim, total, network, run.epochs),
        at=Position(),
        monitor=Monitor(task.monitor[1], run.early_stop, keep=run.checkpoint.keep_best),
        losses=Losses(lambda index: name_of(train.split, index), processes, tolerant=run.on_non_finite == "skip"),
        scaler=gradient_scaler(device, run.precision),
        processes=processes,
        average=make_average(run.average, task.state, total, run.epochs),
    )
