"""A task trained in the zoo's own loop on a few small films, whole or cut off and resumed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo.recipe import check_recipe, load_recipe
from zoo.runner.folder import RunFolder
from zoo.runner.loop import fit
from zoo.runner.pipeline import Pipeline, assemble
from zoo.runner.progress import Progress
from zoo_registry.protocols import Batch, Task

CPU = torch.device("cpu")


def films(count: int, size: int = 32, frames: int = 8) -> dict[str, Any]:
    return {"name": "motions", "params": {"count": count, "size": size, "frames": frames}}


def recipe_of(
    task: Any, model: Any, *, clip: Mapping[str, Any], loss: Any = None, lr: float = 1e-3, **run: Any
) -> dict[str, Any]:
    """Three epochs of three batches; a checkpoint after every second step."""
    slots: dict[str, Any] = {
        "zoo": 1,
        "task": task,
        "model": model,
        "data": {"train": films(12), "val": films(6), "clip": dict(clip), "workers": 0},
        "optim": {"name": "adam", "params": {"lr": lr}},
        "run": {
            "epochs": 3, "batch": 4, "device": "cpu", "precision": "fp32", "log_every": 1,
            "checkpoint": {"every_steps": 2}, **run,
        },
    }  # fmt: skip
    return slots | ({} if loss is None else {"loss": loss})


@dataclass
class Run:
    """A task after training, and what it left."""

    pipeline: Pipeline
    folder: RunFolder

    @property
    def task(self) -> Task:
        return self.pipeline.task

    @property
    def state(self) -> dict[str, torch.Tensor]:
        return self.task.state.state_dict()

    def rows(self, split: str) -> list[dict[str, Any]]:
        return [row for row in self.folder.history() if row["split"] == split]


class PowerCut(BaseException):
    """Ends a run as abruptly as a test can."""


def assembled(recipe: Mapping[str, Any]) -> Pipeline:
    """The recipe's parts, once checking has found nothing wrong with it."""
    loaded = load_recipe(recipe)
    assert [str(problem) for problem in check_recipe(loaded)] == []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="positions are a fixed table")
        return assemble(loaded)


def train(recipe: Mapping[str, Any], folder: Path, *, resume: bool = False, cut_after: int | None = None) -> Run:
    """Train from scratch, or go on; with `cut_after`, until so many batches of any kind were prepared."""
    loaded = load_recipe(recipe)
    pipeline = assembled(recipe)
    run = Run(pipeline, RunFolder.open(folder, loaded.data, resume=resume))
    with Progress(quiet=True) as progress:
        fit(
            pipeline.task,
            pipeline.loader("train", train=True),
            pipeline.loader("val"),
            recipe=loaded.schema,
            folder=run.folder,
            augment=pipeline.augment,
            preprocess=pipeline.preprocess if cut_after is None else _cut(pipeline.preprocess, cut_after),
            device=CPU,
            progress=progress,
            resume=resume,
            network=pipeline.network,
            frozen=pipeline.frozen,
        )
    return run


def _cut(preprocess: Callable[[Batch], Batch], after: int) -> Callable[[Batch], Batch]:
    seen = 0

    def counted(batch: Batch) -> Batch:
        nonlocal seen
        seen += 1
        if seen > after:
            raise PowerCut
        return preprocess(batch)

    return counted
