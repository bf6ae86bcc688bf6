"""What a run does about steps that fail: gradients that are not finite, and batches that do not fit on the device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from zoo_registry.errors import NonFiniteLoss, RunError
from zoo_registry.protocols import Batch

if TYPE_CHECKING:
    from zoo.runner.training import Training

MOST_SKIPPED = 20
"""Steps left out in a row after which nothing is learnt any more."""

MOST_BACK_OFFS = 8
"""Times a run goes back; its learning rate is then 1/256 of the recipe's."""


@dataclass
class Setbacks:
    """Counts them, and knows when to give up.

    Attributes:
        skipped: steps left out because gradients were not finite.
        in_a_row: of those the last ones without a good step between them.
        back_offs: how often the run went back to a checkpoint.
    """

    skipped: int = 0
    in_a_row: int = 0
    back_offs: int = 0

    def skip(self, step: int) -> None:
        """Count a step that is left out.

        Args:
            step: its number, the first is 1.

        Raises:
            NonFiniteLoss: there were too many in a row.
        """
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row > MOST_SKIPPED:
            raise NonFiniteLoss(
                f"the gradients of {self.in_a_row} steps in a row are NaN or infinite, the last at step {step}",
                hint="no step is left to learn from: lower optim.params.lr or set run.clip_grad_norm",
            )

    def back_off(self, training: Training, error: NonFiniteLoss) -> None:
        """Go back to the last checkpoint, with half the learning rate.

        Raises:
            NonFiniteLoss: the recipe does not say so, or it happened too often.
        """
        if training.recipe.run.on_non_finite != "back_off" or self.back_offs == MOST_BACK_OFFS:
            raise error
        self.back_offs += 1
        slower = [optimizer.slowdown / 2 for optimizer in training.optimizers]
        training.progress.say(f"{error.problems[0].message}; backing off with {slower[0]:g} of the learning rate")
        training.resume()
        for optimizer, slowdown in zip(training.optimizers, slower, strict=True):
            optimizer.slowdown = slowdown

    def halve(self, training: Training, window: Sequence[Batch], failure: str) -> None:
        """Compute batches in smaller parts from here on.

        Args:
            training: the run.
            window: batches of the step that failed, on the CPU.
            failure: what torch said.

        Raises:
            RunError: the recipe does not say so, or there is nothing left to halve; says what did not fit.
        """
        rows = max(map(len, window))
        now = min(training.micro_batch or rows, rows)
        views = training.task.views
        smaller = now // 2 // views * views
        run = training.recipe.run
        halves = run.on_out_of_memory == "halve" or run.micro_batch == "auto"
        if not halves or not smaller or training.processes.count > 1:
            raise _does_not_fit(training, window[0], now, smaller, failure)
        training.micro_batch = smaller
        training.progress.say(
            f"{now} clips at once do not fit into memory: from step {training.at.step + 1} on batches are computed "
            f"in parts of {smaller}"
        )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch has a type for GPUs only."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _does_not_fit(training: Training, batch: Batch, now: int, smaller: int, failure: str) -> RunError:
    shapes = ", ".join(f"{name} {'x'.join(map(str, tuple(value.shape)[1:]))}" for name, value in batch.inputs.items())
    wanted = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)|allocate (\d+) bytes", failure)
    more = f" (the last straw was {wanted[1] or f'{int(wanted[2]) / 2**30:.1f} GiB'})" if wanted else ""
    if smaller:
        hint = f"write run.micro_batch: {smaller // training.task.views}, which computes the same batch in parts, or "
        hint += (
            "run.on_out_of_memory: halve, which finds the size by itself; run.gradient_checkpointing: true saves more"
        )
    else:
        hint = "one clip is too much: write run.gradient_checkpointing: true, or a smaller data.clip.size or frames"
    return RunError(
        f"step {training.at.step + 1} does not fit into the memory of {training.device}: {now} clips at once, "
        f"each {shapes}{more}",
        hint=hint,
    )
