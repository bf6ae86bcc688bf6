"""Trains a model further that compression has changed: the recipe's task, data and optimiser around another module."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module

from zoo.build import build
from zoo.recipe.schema import CheckpointSlot, OptimSlot, RecipeSchema, ScheduleSlot
from zoo.runner.evaluation import evaluate
from zoo.runner.folder import RunFolder
from zoo.runner.loop import fit
from zoo.runner.pipeline import Pipeline, build_losses, load_weights_of_part
from zoo.runner.precision import autocast, backward_kernels
from zoo.runner.signals import Terminated
from zoo_registry.catalog import catalog
from zoo_registry.errors import Interrupted, RunError
from zoo_registry.protocols import Batch, Objective, Task

if TYPE_CHECKING:
    from zoo.data import Loader
    from zoo.runner.progress import Progress

Loss = Callable[[Batch, Callable[[], Tensor]], Tensor]
"""`(batch, task_loss) -> scalar`, see `zoo_registry.protocols.CompressionContext.train`."""


@dataclass(frozen=True)
class FineTuning:
    """Trains changed copies of a recipe's model: the `zoo.compress.context.Trainer` of a run.

    Attributes:
        pipeline: what the recipe names, built.
        device: where to compute.
        progress: shows how far it is.
    """

    pipeline: Pipeline
    device: torch.device
    progress: Progress

    def losses(self, model: Module, batches: int) -> Iterator[Tensor]:
        """The task's loss of a model on training batches, a scalar each; augmented as in evaluation, which is not."""
        objective, _ = self._objective(model)
        precision = self.pipeline.recipe.run.precision
        with closing(self._loader(shuffled=True)) as loader, backward_kernels(self.device, precision):
            for batch in islice(loader.epoch(0), batches):
                prepared = self.pipeline.preprocess(batch.to(self.device))
                with autocast(self.device, precision):
                    total = objective.loss(prepared, {})["total"]
                yield total

    def train(
        self,
        model: Module,
        *,
        epochs: int,
        lr: float,
        batches: int | None = None,
        loss: Loss | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        """As `zoo_registry.protocols.CompressionContext.train`.

        Raises:
            RunError: weights of 16 bits, in which the steps of an optimiser vanish or overflow.
        """
        if any(parameter.dtype in (torch.bfloat16, torch.float16) for parameter in model.parameters()):
            raise RunError(
                "weights of 16 bits cannot be trained: the optimiser's steps are rounded away",
                hint="train before the model is cast; run.precision: bf16 computes in 16 bits and keeps its weights",
            )
        objective, task = self._objective(model)
        tuned = _Tuned(task, objective, loss, after_step)
        val = self.pipeline.loader("val") if "val" in self.pipeline.splits else None
        with TemporaryDirectory(prefix="zoo-fine-tuning-") as folder, closing(self._loader(train=True)) as train:
            try:
                start = None if val is None else _Start(model, self._monitored(task, model, val))
                result = fit(
                    tuned,
                    train if batches is None else _Shortened(train, batches),  # type: ignore[arg-type]
                    val,
                    recipe=fine_tuning_recipe(self.pipeline.recipe, epochs, lr),
                    folder=RunFolder(folder),
                    augment=self.pipeline.augment,
                    preprocess=self.pipeline.preprocess,
                    device=self.device,
                    progress=self.progress,
                    network=model,
                )
                if start is not None and not start.beaten_by(result.best, task.monitor[1]):
                    start.restore(model)
                    self.progress.say("training made it no better: the model is as it was before")
            except Interrupted as error:  # its hint names a folder that is gone in a moment
                raise (Terminated if error.exit_code == 128 + signal.SIGTERM else KeyboardInterrupt) from None
            finally:
                if val is not None:
                    val.close()

    def _monitored(self, task: Task, model: Module, val: Loader) -> float | None:
        """The metric that decides, before the first step."""
        run = self.pipeline.recipe.run
        measured = evaluate(
            task, model, val, preprocess=self.pipeline.preprocess, device=self.device, precision=run.precision,
            progress=self.progress, title="before training",
        )  # fmt: skip
        return measured.metrics.get(task.monitor[0])

    def _objective(self, model: Module) -> tuple[Objective, Task]:
        """What the recipe's task minimises with this model in it."""
        slot, provided = self.pipeline.recipe.task, self.pipeline.provided
        task: Task = build(
            catalog().resolve("task", slot.name),
            slot.params,
            {**provided, "model": model, "losses": build_losses(self.pipeline.recipe.loss, provided)},
            load_weights=load_weights_of_part,
        )
        objectives = task.objectives()
        if len(objectives) != 1:
            names = ", ".join(objective.name for objective in objectives)
            raise RunError(
                f"{slot.name} has {len(objectives)} objectives ({names}); only a task of one can be trained on while a "
                "model is compressed",
                hint="use strategies that need no training",
            )
        return objectives[0], task

    def _loader(self, *, train: bool = False, shuffled: bool = False) -> Loader:
        if "train" not in self.pipeline.splits:
            raise RunError("there is no data to train a compressed model on", hint="fill data.train")
        return self.pipeline.loader("train", train=train, shuffled=shuffled)


def fine_tuning_recipe(recipe: RecipeSchema, epochs: int, lr: float) -> RecipeSchema:
    """A recipe that trains a compressed model: its optimiser with another rate, and nothing around it.

    Rates by layer and by pattern are left out: compression has changed names and parts of the model.
    """
    given = recipe.optim or OptimSlot(name="adamw")
    optim = OptimSlot(
        name=given.name,
        params={**given.params, "lr": lr},
        schedule=ScheduleSlot(name="cosine"),
        decay_norms_and_biases=given.decay_norms_and_biases,
    )
    plain: Mapping[str, Any] = {
        "epochs": epochs, "average": None, "early_stop": None, "max_time": None, "auto": False, "compile": False,
        "strategy": "ddp", "checkpoint": CheckpointSlot(keep=1),
    }  # fmt: skip
    return recipe.model_copy(update={"optim": optim, "run": recipe.run.model_copy(update=plain)})


class _Start:
    """A model before it is trained, and how good it was."""

    def __init__(self, model: Module, value: float | None) -> None:
        self.value = value
        self._state = {key: tensor.clone() for key, tensor in model.state_dict().items()}

    def beaten_by(self, best: float | None, direction: str) -> bool:
        """Whether training came to more; what is not known, or was not a number, is beaten by anything."""
        if self.value is None or best is None or not math.isfinite(self.value):
            return True
        return best >= self.value if direction == "max" else best <= self.value

    def restore(self, model: Module) -> None:
        model.load_state_dict(self._state)


class _Tuned(Task):
    """A task with its one objective changed; everything else is the task's own."""

    def __init__(
        self, task: Task, objective: Objective, loss: Loss | None, after_step: Callable[[], None] | None
    ) -> None:
        self._task, self._loss, self._after_step = task, loss, after_step
        self._objective = objective if loss is None else replace(objective, loss=self._changed(objective, loss))
        self.state, self.views, self.monitor = task.state, task.views, task.monitor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def objectives(self) -> tuple[Objective]:
        return (self._objective,)

    def after_step(self, step: int) -> None:
        self._task.after_step(step)
        if self._after_step is not None:
            self._after_step()

    def result(self) -> Module:
        return self._task.result()

    def predict(self, model: Callable[..., Any], batch: Batch) -> Any:
        return self._task.predict(model, batch)

    def merge(self, outputs: Any) -> Any:
        return self._task.merge(outputs)

    def metrics(self) -> Any:
        return self._task.metrics()

    def readable(self, outputs: Any) -> Any:
        return self._task.readable(outputs)

    @staticmethod
    def _changed(objective: Objective, loss: Loss) -> Callable[[Batch, dict[str, Any]], Mapping[str, Tensor]]:
        def changed(batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
            return {"total": loss(batch, lambda: objective.loss(batch, shared)["total"])}

        return changed


class _Shortened:
    """A loader whose epochs end after so many batches."""

    def __init__(self, loader: Loader, batches: int) -> None:
        self._loader, self._batches = loader, batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    @property
    def batches(self) -> int:
        return len(self)

    def __len__(self) -> int:
        return self._batches if self._loader.batches is None else min(self._batches, len(self._loader))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        with closing(self._loader.epoch(epoch, start)) as batches:  # type: ignore[type-var]
            yield from islice(batches, max(0, len(self) - start))
