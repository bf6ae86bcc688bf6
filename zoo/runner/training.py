"""What stands around the training loop: log lines, checkpoints, validation, the best state."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.distributed.averaged import AveragedObjective, Loss
from zoo.distributed.processes import ALONE, Processes
from zoo.distributed.sharded import ShardedObjective
from zoo.optim.objective_optimizer import ObjectiveOptimizer
from zoo.recipe.schema import RecipeSchema
from zoo.runner.checkpoint import Checkpoint, Checkpoints, DamagedCheckpoint, checkpoint_name
from zoo.runner.evaluation import evaluate
from zoo.runner.folder import RunFolder
from zoo.runner.freeze import Frozen
from zoo.runner.losses import Losses, Mean
from zoo.runner.monitor import Monitor
from zoo.runner.observers import Observers
from zoo.runner.precision import autocast
from zoo.runner.profile import StepProfile
from zoo.runner.progress import Progress, ProgressTask
from zoo.runner.setbacks import Setbacks
from zoo.runner.signals import StopSignals, interrupted
from zoo.runner.snapshot import Position, Snapshot, load_result
from zoo.runner.time_shares import TimeShares, in_words
from zoo_registry.errors import RunError
from zoo_registry.protocols import Batch, Task

if TYPE_CHECKING:
    from zoo.data import Loader


@dataclass
class Training:
    """A run of `fit` under way.

    Attributes:
        snapshot: everything that changes and that a checkpoint holds.
        checkpoints: where it is kept.
        best: name of the checkpoint with the best validation metric.
        saved: name of the checkpoint that holds the present state, None when there is none.
        frozen: the part of the model that does not learn.
        times: where the time goes.
        samples: samples since the last log line.
        clock: when that was.
        micro_batch: rows that the device computes at once; None for whole batches.
        processes: those that train together.
        setbacks: steps that failed.
        profile: what watches some steps closely; None for nothing.
        ends: when the time for training is over, by `time.perf_counter`; None for never.
        out_of_time: whether it is.
        averaged: where several processes train, their objectives by name.
        statistics: gives prepared training batches, for an average of the weights that has to measure its batch norms.
        weigh: how much the batch of this process counts in the mean over all processes, by its number in the epoch.
    """

    snapshot: Snapshot
    val: Loader | None
    recipe: RecipeSchema
    folder: RunFolder
    checkpoints: Checkpoints
    preprocess: Callable[[Batch], Batch]
    device: torch.device
    progress: Progress
    observers: Observers
    stop: StopSignals
    best: str | None = None
    saved: str | None = None
    samples: int = 0
    clock: float = field(default_factory=time.perf_counter)
    frozen: Frozen = field(default=Frozen(), kw_only=True)
    times: TimeShares = field(default_factory=lambda: TimeShares(None), kw_only=True)
    micro_batch: int | None = field(default=None, kw_only=True)
    processes: Processes = field(default=ALONE, kw_only=True)
    setbacks: Setbacks = field(default_factory=Setbacks, kw_only=True)
    profile: StepProfile | None = field(default=None, kw_only=True)
    ends: float | None = field(default=None, kw_only=True)
    out_of_time: bool = field(default=False, kw_only=True)
    averaged: Mapping[str, AveragedObjective | ShardedObjective] = field(default_factory=dict, kw_only=True)
    statistics: Callable[[], Iterable[Batch]] = field(default=tuple, kw_only=True)
    weigh: Callable[[int], float] = field(default=lambda batch: 1.0, kw_only=True)

    @property
    def task(self) -> Task:
        """What is learnt."""
        return self.snapshot.task

    @property
    def at(self) -> Position:
        """How far it is."""
        return self.snapshot.at

    @property
    def losses(self) -> Losses:
        """Running means."""
        return self.snapshot.losses

    @property
    def monitor(self) -> Monitor:
        """Which epoch was best."""
        return self.snapshot.monitor

    @property
    def optimizers(self) -> list[ObjectiveOptimizer]:
        """One for each objective, in the order of a step."""
        return list(self.snapshot.optimizers)

    @property
    def epochs(self) -> int:
        """Epochs of the whole run."""
        return self.recipe.run.epochs

    def begin(self, resume: bool) -> None:
        """Start at the first step, or go on; keep the beginning's state where the run may have to go back to it."""
        if resume:
            self.resume()
        elif self.recipe.run.on_non_finite == "back_off":
            self.keep(checkpoint_name(0))

    def resume(self) -> None:
        """Go back to the newest whole checkpoint, and to how `metrics.jsonl` was then."""
        checkpoint = self._newest()
        if checkpoint is None:
            self.folder.cut_back(0)
            self.progress.say("no checkpoint yet: starting at the first step")
            return
        self.snapshot.restore(checkpoint)
        self.folder.cut_back(checkpoint.record["metrics_bytes"])
        self.best, self.saved = checkpoint.record["best"], checkpoint.name
        self.setbacks.skipped = checkpoint.record["skipped"]
        self.progress.say(f"going on from {self.checkpoints.folder / checkpoint.name}")
        threads = checkpoint.record["threads"]
        if threads != torch.get_num_threads():
            self.progress.say(
                f"the run had {threads} threads, now there are {torch.get_num_threads()}: "
                "sums will round differently (run.threads fixes the number)"
            )

    def _newest(self) -> Checkpoint | None:
        """The newest whole checkpoint; the main process says which, and deletes what is newer."""
        newest = None
        with self.processes.agreeing():
            if self.processes.main:
                newest = self.checkpoints.newest()
                self.checkpoints.forget_after(newest.name if newest else None)
        name = self.processes.first(newest.name if newest else None)
        return newest if self.processes.main or name is None else self.checkpoints.read(name)

    def epoch_begin(self) -> None:
        """Train mode but for what is frozen, and a fresh clock: validation is no training time."""
        self.task.state.train()
        self.frozen.hold()
        self.samples, self.clock = 0, time.perf_counter()
        self.times.restart()

    def loss_of(self, optimizer: ObjectiveOptimizer) -> Loss:
        """What computes an objective's terms."""
        averaged = self.averaged.get(optimizer.objective.name)
        return optimizer.objective.loss if averaged is None else averaged.loss

    def apart(self, optimizer: ObjectiveOptimizer) -> AbstractContextManager[None]:
        """Within it an objective's gradients are not yet averaged with those of other processes."""
        averaged = self.averaged.get(optimizer.objective.name)
        return nullcontext() if averaged is None else averaged.apart()

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """Of gradients in fp16."""
        return self.snapshot.scaler

    def note(self, optimizer: ObjectiveOptimizer, terms: Mapping[str, Tensor], index: Tensor) -> None:
        """Keep an objective's losses on a batch of samples, whose index stays on the CPU."""
        self.losses.add(terms, step=self.at.step + 1, index=index, prefix=self.loss_prefix(optimizer))

    def step_end(self, batches: int, samples: int, bar: ProgressTask) -> None:
        """Count a step; log, keep and stop where it is time to."""
        self.at.step += 1
        self.at.batches += batches
        self.saved = None
        self.samples += samples
        self.at.clips += samples * self.processes.count
        if self.snapshot.average is not None:
            self.snapshot.average.update(self.at.step, self.at.epoch)
        bar.advance(batches)
        if self.profile is not None:
            self.profile.step()
        if self.at.step % self.recipe.run.log_every == 0:
            self.log(bar)
        every = self.recipe.run.checkpoint.every_steps
        if every is not None and self.at.step % every == 0:
            self.keep(checkpoint_name(self.at.step))
        self.stop_if_asked()
        self.look_at_the_clock()

    def log(self, bar: ProgressTask | None = None) -> None:
        """A row of what was learnt since the last one."""
        self.losses.read()
        values = self.losses.interval.values()
        if not values and not self.samples:
            return
        shares = self.times.read()
        if bar is not None:
            bar.show(in_words(shares), **values)
        if warning := self.times.warning():
            self.progress.say(warning)
        values |= self._rates()
        values["samples_per_s"] = self.processes.count * self.samples / (time.perf_counter() - self.clock)
        values |= {f"time_share/{stage}": share for stage, share in shares.items()}
        if self.device.type == "cuda":
            values["gpu_memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        if self.recipe.run.on_non_finite == "skip":
            values["skipped_steps"] = self.setbacks.skipped
        self.folder.append({"step": self.at.step, "epoch": self.at.epoch + 1, "split": "train", **values})
        self.observers.notify("step_end", self.at.step, values)
        if self.observers.wants("gradients_ready"):
            self.observers.notify("gradients_ready", self.at.step, dict(self.task.state.named_parameters()))
        self.losses.interval = Mean()
        self.samples, self.clock = 0, time.perf_counter()

    def stop_if_asked(self) -> None:
        """Write a checkpoint and raise `Interrupted` after a signal to any of the processes."""
        received = self.processes.largest(self.stop.received or 0)
        if not received:
            return
        self.keep(checkpoint_name(self.at.step))
        error = interrupted(
            signal.Signals(received),
            f"after step {self.at.step}; checkpoint written",
            f"zoo run --resume {self.folder.path} goes on",
        )
        raise self.processes.everywhere(error)

    @property
    def unprofiled(self) -> AbstractContextManager[None]:
        """Within it a profile records nothing: it is of steps."""
        return nullcontext() if self.profile is None else self.profile.apart()

    @property
    def goes_on(self) -> bool:
        """Whether there is an epoch to train."""
        return self.at.epoch < self.epochs and not self.monitor.should_stop and not self.out_of_time

    def look_at_the_clock(self) -> None:
        """Once `run.max_time` is over, keep the state, from which the run can go on."""
        if self.ends is None or not self.processes.any(time.perf_counter() >= self.ends):
            return
        self.log()
        self.refresh()
        self.keep(checkpoint_name(self.at.step))
        self.out_of_time = True
        self.progress.say(f"time is up after step {self.at.step} (run.max_time); zoo run --resume would go on")

    def epoch_end(self) -> None:
        """Validate, see whether it is the best, let schedules know, and keep the state."""
        self.log()
        self.processes.share_buffers(self.task.state)
        self.refresh()
        metrics = self._validate(self.val) if self.val is not None else {}
        means = self.losses.epoch.values()
        name, direction = self.task.monitor
        epoch, improved = self.at.epoch + 1, False
        if metrics:
            improved = self.monitor.update(metrics[name], step=self.at.step, epoch=epoch)
            self.folder.append({"step": self.at.step, "epoch": epoch, "split": "val", **metrics})
        for optimizer in self.optimizers:
            if metrics:
                optimizer.schedule.epoch_end(metrics[name], direction)
            elif self.loss_name(optimizer) in means:  # an objective may have had no step in this epoch
                optimizer.schedule.epoch_end(means[self.loss_name(optimizer)], "min")
        self.at.epoch, self.at.batches = epoch, 0
        self.losses.epoch = Mean()
        kept = checkpoint_name(self.at.step, epoch_end=True)
        self.best, self.saved = kept if improved else self.best, None
        self.keep(kept)
        self._tell(epoch, means, metrics, improved)

    def keep(self, name: str) -> None:
        """Write a checkpoint of the present state, unless it is written already."""
        if self.saved is not None:
            return
        with self.unprofiled, self.snapshot.learning():
            tensors, record = self.snapshot.take()  # all processes together: losses are read
            record |= {"metrics_bytes": self.folder.metrics_bytes(), "best": self.best}
            record |= {"skipped": self.setbacks.skipped}
            best = [checkpoint_name(step, epoch_end=True) for step in self.monitor.best_steps]
            self.checkpoints.save(name, tensors, record, best)
        self.saved = name

    def take_best(self) -> None:
        """Leave the task in the state of its best epoch."""
        self.processes.wait()  # until the main one has written it
        if self.best is not None and self.best != self.saved:
            try:
                return load_result(self.task, self.checkpoints, self.best)
            except DamagedCheckpoint as error:
                self.progress.say(f"{error.problems[0].message}; the model stays that of the last epoch")
        if self.snapshot.average is not None:
            self.snapshot.average.settle()

    def refresh(self) -> None:
        """Measure batch norms anew under an average of the weights that changed."""
        average, network = self.snapshot.average, self.task.result()
        if average is None:
            return
        self.task.state.train()
        self.frozen.hold()
        if average.needs_statistics(network):
            average.refresh(network, self.statistics(), self._predict)
            with average.swapped_in():
                self.processes.share_buffers(self.task.state)

    def _predict(self, batch: Batch) -> None:
        with autocast(self.device, self.recipe.run.precision):
            self.task.predict(self.task.result(), batch)

    def loss_prefix(self, optimizer: ObjectiveOptimizer) -> str:
        """What tells apart the values of several objectives: `critic/`; nothing when there is one."""
        return f"{optimizer.objective.name}/" if len(self.snapshot.optimizers) > 1 else ""

    def loss_name(self, optimizer: ObjectiveOptimizer) -> str:
        """What the objective's total is called in a row."""
        return f"{self.loss_prefix(optimizer)}loss"

    def _rates(self) -> dict[str, float]:
        return {f"{self.loss_prefix(optimizer)}lr": optimizer.rate for optimizer in self.optimizers}

    def _validate(self, val: Loader) -> dict[str, float]:
        with self.snapshot.judged():
            return self._measure(val)

    def _measure(self, val: Loader) -> dict[str, float]:
        metrics = evaluate(
            self.task,
            self.task.result(),
            val,
            preprocess=self.preprocess,
            device=self.device,
            precision=self.recipe.run.precision,
            progress=self.progress,
            title=f"{val.split.name} {self.at.epoch + 1}/{self.epochs}",
            between=self._stop_between,
            processes=self.processes,
        ).metrics
        if self.task.monitor[0] not in metrics:
            raise RunError(
                f"the task watches {self.task.monitor[0]!r}, which it does not measure",
                hint=f"it has {', '.join(metrics)}",
            )
        return metrics

    def _stop_between(self) -> None:
        """After a batch of validation, of which several processes may not have equally many."""
        if self.processes.count == 1:
            self.stop_if_asked()

    def _tell(self, epoch: int, means: dict[str, float], metrics: dict[str, float], improved: bool) -> None:
        """A line for people, and the epoch's values for observers."""
        shown = [f"epoch {epoch}/{self.epochs}", *(f"{name} {value:.4g}" for name, value in means.items())]
        if metrics:
            name = self.task.monitor[0]
            shown.append(f"{name} {metrics[name]:.4g}" + (" (best so far)" if improved else ""))
        self.progress.say("  ".join(shown))
        self.observers.notify("epoch_end", epoch, metrics)
