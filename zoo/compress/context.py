"""What compression may use: data to calibrate on, data to judge by, and the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Module

from zoo.runner.precision import autocast
from zoo_registry.errors import RunError
from zoo_registry.protocols import Batch, Outputs, Task


class Batches(Protocol):
    """What is used of `zoo.data.Loader`."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Batches of uint8 clips on the CPU."""
        ...


@dataclass
class Context:
    """The `zoo_registry.protocols.CompressionContext` of a run.

    Attributes:
        task: reads the model's outputs.
        train: training data, None if the recipe has none.
        val: validation data, None if the recipe has none.
        preprocess: from uint8 clips to what the model takes, as for evaluation.
        metrics: the task's metrics of a model on the validation split.
        device: where models run.
        precision: as `run.precision` in a recipe.
        compared: samples of the validation split that stages are compared with the original on.
    """

    task: Task
    train: Batches | None
    val: Batches | None
    preprocess: Callable[[Batch], Batch]
    metrics: Callable[[Module], Mapping[str, float]]
    device: torch.device
    precision: str = "fp32"
    compared: int = 256

    @cached_property
    def example(self) -> tuple[Tensor, ...]:
        """Inputs of one preprocessed batch, in the order the model takes them."""
        return next(self._inputs(self.val or self.train, 1))

    def calibration(self, batches: int) -> Iterator[tuple[Tensor, ...]]:
        """Model inputs from training data, preprocessed as for evaluation; the same ones at every call.

        Raises:
            RunError: the recipe has no training data.
        """
        return self._inputs(self.train, batches)

    def evaluate(self, model: Module) -> Mapping[str, float]:
        """The task's metrics on the validation split."""
        return self.metrics(model)

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
