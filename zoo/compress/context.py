"""What compression may use: data to calibrate on, data to judge by, and the device."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import Module

from zoo.complexity import complexity
from zoo.compress.latency import measure_latency
from zoo.runner.precision import autocast
from zoo_registry.errors import RunError
from zoo_registry.protocols import Batch, Outputs, Task


class Batches(Protocol):
    """What is used of `zoo.data.Loader`."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Batches of uint8 clips on the CPU."""
        ...


class Trainer(Protocol):
    """Trains what compression has changed; see `zoo.runner.fine_tuning.FineTuning`."""

    def losses(self, model: Module, batches: int) -> Iterator[Tensor]:
        """As `CompressionContext.losses`."""
        ...

    def train(
        self,
        model: Module,
        *,
        epochs: int,
        lr: float,
        batches: int | None = None,
        loss: Callable[[Batch, Callable[[], Tensor]], Tensor] | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        """As `CompressionContext.train`."""
        ...


@dataclass
class Context:
    """The `zoo_registry.protocols.CompressionContext` of a run.

    Attributes:
        task: reads the model's outputs.
        train_data: training data, None if the recipe has none.
        val: validation data, None if the recipe has none.
        preprocess: from uint8 clips to what the model takes, as for evaluation.
        metrics: the task's metrics of a model on the validation split.
        device: where models run.
        original: the model before the first strategy.
        trainer: trains a changed model further; None where nothing can.
        precision: as `run.precision` in a recipe.
        compared: samples of the validation split that stages are compared with the original on.
    """

    task: Task
    train_data: Batches | None
    val: Batches | None
    preprocess: Callable[[Batch], Batch]
    metrics: Callable[[Module], Mapping[str, float]]
    device: torch.device
    original: Module
    trainer: Trainer | None = None
    precision: str = "fp32"
    compared: int = 256

    @property
    def monitor(self) -> tuple[str, Literal["max", "min"]]:
        """The metric that decides what is best, and its direction."""
        return self.task.monitor

    @cached_property
    def example(self) -> tuple[Tensor, ...]:
        """Inputs of one preprocessed batch, in the order the model takes them."""
        return next(self._inputs(self.val or self.train_data, 1))

    def calibration(self, batches: int) -> Iterator[tuple[Tensor, ...]]:
        """Model inputs from training data, preprocessed as for evaluation; the same ones at every call.

        Raises:
            RunError: the recipe has no training data.
        """
        return self._inputs(self.train_data, batches)

    def evaluate(self, model: Module) -> Mapping[str, float]:
        """The task's metrics on the validation split."""
        return self.metrics(model)

    def score(self, model: Module) -> float:
        """The monitored metric on the validation split, such that more is better.

        Raises:
            RunError: the recipe has no validation data, or its task does not give the metric that it monitors.
        """
        if self.val is None:
            raise RunError("nothing can be judged without validation data", hint="fill data.val")
        measured = self.evaluate(model)
        if self.monitor[0] not in measured:
            raise RunError(f"the task monitors {self.monitor[0]!r}, which is not among its metrics")
        return self.better_is_more(measured[self.monitor[0]])

    def better_is_more(self, value: float) -> float:
        """A value of the monitored metric, negated where the least is best."""
        return value if self.monitor[1] == "max" else -value

    def losses(self, model: Module, batches: int) -> Iterator[Tensor]:
        """The task's loss of a model on training batches, a scalar each, to be backpropagated by the caller."""
        return self._trainer.losses(model, batches)

    def train(
        self,
        model: Module,
        *,
        epochs: int,
        lr: float,
        batches: int | None = None,
        loss: Callable[[Batch, Callable[[], Tensor]], Tensor] | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        """Train a model further, in place; see `zoo_registry.protocols.CompressionContext.train`."""
        self._trainer.train(model, epochs=epochs, lr=lr, batches=batches, loss=loss, after_step=after_step)
        model.eval()

    @property
    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise RunError("nothing here can train a model further", hint="fill data.train, loss and optim")
        return self.trainer

    def gmacs(self, model: Module) -> float:
        """Billions of multiply-adds of one forward pass over one sample."""
        inputs = tuple(tensor[:1] for tensor in self.example)
        try:  # without memory it takes no time
            empty = copy.deepcopy(model).to("meta")
            return complexity(empty, tuple(tensor.to("meta") for tensor in inputs)).gmacs
        except (NotImplementedError, RuntimeError):  # a model that looks at values
            return complexity(model, inputs).gmacs

    def latency_ms(self, model: Module) -> float:
        """Median time of one sample on the device, in milliseconds."""
        with self.autocast():
            return measure_latency(model, self.example).p50_ms

    def outputs(self, model: Callable[..., Any]) -> list[Outputs]:
        """What a model says about the first `compared` validation samples, batch by batch, on the CPU."""
        if self.val is None:
            return []
        outputs: list[Outputs] = []
        seen = 0
        with closing(_generator(self.val.epoch(0))) as batches:
            for batch in batches:
                with torch.no_grad(), self.autocast():
                    said = self.task.predict(model, self.preprocess(batch.to(self.device)))
                outputs.append({key: _on_cpu(value) for key, value in said.items()})
                seen += len(batch)
                if seen >= self.compared:
                    break
        return outputs

    def autocast(self) -> AbstractContextManager[object]:
        """The precision that models run in."""
        return autocast(self.device, self.precision)

    def _inputs(self, loader: Batches | None, batches: int) -> Iterator[tuple[Tensor, ...]]:
        if loader is None:
            raise RunError("compression needs data to look at", hint="fill data.train, and data.val to judge by")
        return self._preprocessed(loader, batches)

    def _preprocessed(self, loader: Batches, batches: int) -> Iterator[tuple[Tensor, ...]]:
        with closing(_generator(loader.epoch(0))) as epoch:
            for batch in islice(epoch, batches):
                yield tuple(self.preprocess(batch.to(self.device)).inputs.values())


def _generator(batches: Iterator[Batch]) -> Any:
    """The batches as something that can be closed, so that workers stop where an epoch is left early."""
    return batches if hasattr(batches, "close") else (batch for batch in batches)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, list):
        return [_on_cpu(item) for item in value]
    return value.detach().cpu() if isinstance(value, Tensor) else value
