"""One optimiser step: every objective whose turn it is learns from one window of batches.

A batch may be computed in parts that fit the device (`run.micro_batch`); the gradient is that of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm

from zoo.optim.objective_optimizer import ObjectiveOptimizer
from zoo.runner.gradient_checkpointing import statistics_kept
from zoo.runner.precision import autocast, backward_kernels
from zoo_registry.errors import PluginError
from zoo_registry.protocols import Batch

if TYPE_CHECKING:
    from zoo.runner.training import Training


def train_step(training: Training, window: Sequence[Batch], prepare: Callable[[Batch], Batch]) -> None:
    """Let every objective whose turn it is learn, over one window of accumulated batches.

    Args:
        training: the run.
        window: uint8 batches on the CPU.
        prepare: from those to what the model takes, on the device.
    """
    step, optimizers = training.at.step, training.optimizers
    due = [optimizer for optimizer in optimizers if step % optimizer.objective.every == 0]
    shared: list[dict[int, dict[str, Any]]] = [{} for _ in window]
    ready: Iterable[Batch] = map(prepare, window)  # each right before it is used: float clips are large
    if len(due) > 1:
        ready = list(ready)  # every objective is to see the same
    for optimizer in due:
        with only_these_learn(optimizer, optimizers):
            optimizer.zero_grad()
            for number, (loaded, batch) in enumerate(zip(window, ready, strict=True)):
                count = training.weigh(training.at.batches + number)
                for begin, part in parts_of(batch, training.micro_batch):
                    last = number == len(window) - 1 and begin + len(part) == len(batch)
                    divisor = len(window) * len(batch) / len(part) / count if count else inf
                    with nullcontext() if last else training.apart(optimizer):
                        _backward(
                            training, optimizer, part, shared[number].setdefault(begin, {}), divisor,
                            loaded.index[begin : begin + len(part)],
                        )  # fmt: skip
            with training.times.measure("step"):
                descend(training, optimizer)
    if training.scaler is not None:
        training.scaler.update()
    training.task.after_step(step)


def _backward(
    training: Training,
    optimizer: ObjectiveOptimizer,
    batch: Batch,
    shared: dict[str, Any],
    divisor: float,
    index: torch.Tensor,
) -> None:
    """Add the gradients of some samples to the window's; infinite is the divisor of samples that do not count."""
    run, objective = training.recipe.run, optimizer.objective
    training.frozen.hold()  # a task may have switched modes
    with training.times.measure("forward"), autocast(training.device, run.precision):
        terms = training.loss_of(optimizer)(batch, shared)
    if "total" not in terms:
        raise PluginError(f"objective {objective.name!r} returned no 'total' but {', '.join(terms)}")
    total = terms["total"] / divisor
    kept = statistics_kept(training.task.state) if run.gradient_checkpointing else nullcontext()
    with training.times.measure("backward"), kept, backward_kernels(training.device, run.precision):
        (total if training.scaler is None else training.scaler.scale(total)).backward()  # type: ignore[no-untyped-call]
    training.note(optimizer, terms, index if divisor < inf else index[:0])


def descend(training: Training, optimizer: ObjectiveOptimizer) -> None:
    """Clip the gradients and take the step; with `run.on_non_finite: skip` not where they are not finite."""
    run = training.recipe.run
    if training.scaler is not None:
        optimizer.unscale(training.scaler)
    if run.clip_grad_value is not None:
        clip_grad_value_(optimizer.parameters, run.clip_grad_value)
    if run.clip_grad_norm is not None:
        clip_grad_norm_(optimizer.parameters, run.clip_grad_norm)
    if run.on_non_finite == "skip":
        if not _finite_gradients(optimizer):
            optimizer.zero_grad()
            training.setbacks.skip(training.at.step + 1)
            return
        training.setbacks.in_a_row = 0
    optimizer.step(training.at.epoch, training.scaler)


def _finite_gradients(optimizer: ObjectiveOptimizer) -> bool:
    """Asks the device, which makes the host wait for it."""
    gradients = [parameter.grad for parameter in optimizer.parameters if parameter.grad is not None]
    return bool(get_total_norm(gradients).isfinite())


def parts_of(batch: Batch, size: int | None) -> Iterator[tuple[int, Batch]]:
    """A batch in parts of so many rows, each with the number of its first row; all of it without a size."""
    if size is None or size >= len(batch):
        yield 0, batch
        return
    for begin in range(0, len(batch), size):
        yield begin, batch.rows(slice(begin, begin + size))


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
