"""Compresses the model of a run with the strategies that its recipe names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import torch
from torch.nn import Module

from zoo.compress import Compressed, Context, Planned, compress
from zoo.compress.apply import Reload
from zoo.runner.evaluation import evaluate
from zoo.runner.fine_tuning import FineTuning
from zoo.runner.pipeline import Pipeline
from zoo_registry.catalog import catalog

if TYPE_CHECKING:
    from zoo.runner.progress import Progress


def stages_of(
    pipeline: Pipeline, module: Module, device: torch.device, progress: Progress, reload: Reload
) -> Iterator[Compressed]:
    """Apply the recipe's strategies in order; see `zoo.compress.compress`.

    Args:
        pipeline: what the recipe names, built.
        module: the model, on the device.
        device: where to compute.
        progress: shows how far it is.
        reload: saves and loads a stage.
    """
    planned = [
        Planned(catalog().resolve("compression", slot.name), slot.params, slot.max_drop)
        for slot in pipeline.recipe.compress
    ]
    return applied(pipeline, planned, module, device, progress, reload)


def applied(
    pipeline: Pipeline,
    planned: Sequence[Planned],
    module: Module,
    device: torch.device,
    progress: Progress,
    reload: Reload,
) -> Iterator[Compressed]:
    """Apply strategies to a model of the recipe; see `stages_of`."""
    with ExitStack() as stack:
        train, val = (
            stack.enter_context(closing(pipeline.loader(name, shuffled=True))) if name in pipeline.splits else None
            for name in ("train", "val")
        )

        def metrics(changed: Module) -> dict[str, float]:
            if val is None:
                return {}
            return evaluate(
                pipeline.task,
                changed,
                val,
                preprocess=pipeline.preprocess,
                device=device,
                precision=pipeline.recipe.run.precision,
                progress=progress,
            ).metrics

        context = Context(
            pipeline.task,
            train_data=train,
            val=val,
            preprocess=pipeline.preprocess,
            metrics=metrics,
            device=device,
            original=module,
            trainer=FineTuning(pipeline, device, progress),
            precision=pipeline.recipe.run.precision,
        )
        yield from compress(
            module, planned, context, reload=reload, structure=pipeline.structure, progress=progress.say
        )
