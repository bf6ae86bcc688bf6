"""A run to be killed: `python -m tests.zoo.runner.killable_run FOLDER [--resume] [--steps=N]`.

Prints every step and saves its weights last.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.zoo.runner.in_memory import BrightOrDark, recipe, train
from zoo.recipe.schema import CheckpointSlot
from zoo.runner.progress import Progress

OPTIM = {"name": "adam", "params": {"lr": 0.01}, "schedule": {"name": "cosine", "params": {"warmup": 0.1}}}
SCHEMA = recipe(OPTIM, epochs=12, accumulate=2, log_every=2, clip_grad_norm=1.0, checkpoint={"every_steps": 1})
STEPS_OF_AN_EPOCH = 2


class Reporting(BrightOrDark):
    """Says when a step is done."""

    def after_step(self, step: int) -> None:
        print(step, flush=True)


def main(folder: Path, resume: bool, steps: int | None) -> None:
    torch.set_num_threads(1)
    task, schema = Reporting(), SCHEMA
    if steps is not None:
        run = schema.run.model_copy(
            update={"epochs": steps // STEPS_OF_AN_EPOCH, "checkpoint": CheckpointSlot(every_steps=2)}
        )
        schema = schema.model_copy(update={"run": run})
    train(folder, task, schema, resume=resume, progress=Progress(quiet=steps is None))
    save_file(task.state.state_dict(), folder / "final.safetensors")


if __name__ == "__main__":
    given = [int(option.removeprefix("--steps=")) for option in sys.argv if option.startswith("--steps=")]
    main(Path(sys.argv[1]), "--resume" in sys.argv, given[0] if given else None)
