"""A run to be killed: `python -m tests.zoo.runner.killable_run FOLDER [--resume]`.

Prints every step and saves its weights last.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.zoo.runner.in_memory import BrightOrDark, recipe, train

SCHEMA = recipe(
    {
        "name": "adam",
        "params": {"lr": 0.01},
        "schedule": {"name": "cosine", "params": {"warmup": 0.1}},
    },
    epochs=12,
    accumulate=2,
    log_every=2,
    clip_grad_norm=1.0,
    checkpoint={"every_steps": 1},
)


class Reporting(BrightOrDark):
    """Says when a step is done."""

    def after_step(self, step: int) -> None:
        print(step, flush=True)


def main(folder: Path, resume: bool) -> None:
    torch.set_num_threads(1)
    task = Reporting()
    train(folder, task, SCHEMA, resume=resume)
    save_file(task.state.state_dict(), folder / "final.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--resume" in sys.argv)
