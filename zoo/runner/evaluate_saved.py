"""Measures a model or a run on a split of data: what `zoo evaluate` does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.build import build
from zoo.runner.checkpoint import Checkpoints
from zoo.runner.folder import RunFolder
from zoo.runner.pipeline import open_splits
from zoo.runner.snapshot import load_best
from zoo_registry.catalog import cache_folder, catalog
from zoo_registry.errors import RunError

if TYPE_CHECKING:
    from zoo.data import Loader, Split
    from zoo.model import ZooModel
    from zoo.recipe import RecipeSchema
    from zoo_registry.entries import ClipSpec
    from zoo_registry.protocols import Task


def evaluate_saved(
    reference: str,
    *,
    source: str | None = None,
    overrides: Sequence[str] = (),
    split: str = "val",
    views: int | None = None,
    batch: int = 8,
    device: str = "auto",
) -> dict[str, float]:
    """Metrics of a model on a split.

    Args:
        reference: what `zoo.load` takes.
        source: name of a source; without it the data of the run's own recipe, which must then lie beside the model.
        overrides: parameters of the source, as `"path=films.csv"`.
        split: `train`, `val` or `test`.
        views: clips per film; by default the recipe's, else 1.
        batch: films per batch.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        The task's metrics by name, and `samples`.

    Raises:
        ZooError: no data, or labels that the model does not know.
    """
    from zoo.data.clip_changes import changed_clip
    from zoo.data.preprocess import preprocess_for
    from zoo.export import device_for
    from zoo.model import load
    from zoo.runner.device import choose_device, place
    from zoo.runner.evaluation import evaluate
    from zoo.runner.progress import Progress

    where = choose_device(device_for(reference, device))
    model = load(reference, device=where)
    if source is None:
        task, data, recipe = _of_run(reference, split)
    else:
        task, data, recipe = _on_source(model, source, overrides, split)
    place(task, where)
    clip = changed_clip(model.clip, getattr(recipe.data, data.name).clip.changes)
    with closing(_loader(model, clip, data, recipe, batch, views)) as loader, Progress() as progress:
        measured = evaluate(
            task,
            model,
            loader,
            preprocess=preprocess_for(task, clip).to(where),
            device=where,
            precision=recipe.run.precision,
            progress=progress,
        )
    return {**measured.metrics, "samples": measured.samples}


def _of_run(reference: str, split: str) -> tuple[Task, Split, RecipeSchema]:
    """The task of a run as training left it, with what belongs to it beside the model, and the run's own data."""
    from zoo.runner.pipeline import assemble
    from zoo.runner.stages import load_checked

    path = Path(reference.removeprefix("file:"))
    folder = next((run for run in map(RunFolder, (path, path.parent)) if _is_run(run)), None)
    if folder is None:
        raise RunError(
            f"nothing says on which data to measure {reference}",
            hint="say --data SOURCE --set path=...; a run brings its own",
        )
    loaded = load_checked(folder.recipe)
    trained = loaded.schema.model.model_copy(update={"weights": None})  # the run's own weights are measured
    pipeline = assemble(replace(loaded, schema=loaded.schema.model_copy(update={"model": trained})))
    checkpoints = Checkpoints(folder.checkpoints, keep=1, warn=warnings.warn)
    load_best(pipeline.task, checkpoints)
    if not checkpoints.names() and (parts := _beside_the_result(pipeline.task)):
        raise RunError(
            f"what measures {reference} lies in its checkpoints, which are gone: {', '.join(parts)}",
            hint="measure where the run's checkpoints/ are; the model by itself predicts",
        )
    if split not in pipeline.splits:
        raise RunError(f"the recipe of {reference} names no data.{split}", hint="say --data SOURCE")
    return pipeline.task, pipeline.splits[split], loaded.schema


def _beside_the_result(task: Task) -> list[str]:
    """The parts of a task that learn and are not in its result, such as a critic."""
    result = {id(parameter) for parameter in task.result().parameters()}
    names = [name for name, parameter in task.state.named_parameters() if id(parameter) not in result]
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _is_run(folder: RunFolder) -> bool:
    """A model that is passed on has the recipe beside it too, but without the folders of its data."""
    return folder.recipe.is_file() and folder.model.is_dir()


def _on_source(model: ZooModel, source: str, overrides: Sequence[str], split: str) -> tuple[Task, Split, RecipeSchema]:
    """The task that reads the model's outputs, and the data of any source."""
    from zoo.runner.stages import load_checked

    if model.task is None:
        raise RunError(f"{model.name} was saved without a task, so nothing can measure it")
    recipe = {"zoo": 1, "task": model.task["name"], "model": model.name, "data": {split: {"name": source}}}
    loaded = load_checked(recipe, [f"data.{split}.params.{text}" for text in overrides])
    provided = {"seed": 0, "cache": cache_folder(), "base": loaded.base, "clip": model.clip, "inputs": model.inputs}
    data = open_splits(loaded.schema, provided, labels=model.labels or None)[split]
    provided |= {"model": model.network, "losses": {}, "labels": model.labels or data.labels, "audio": model.audio}
    provided |= {"num_classes": model.num_classes}
    task = build(catalog().resolve("task", model.task["name"]), model.task.get("params", {}), provided)
    return task, data, loaded.schema


def _loader(
    model: ZooModel, clip: ClipSpec | None, data: Split, recipe: RecipeSchema, batch: int, views: int | None
) -> Loader:
    from zoo.data import Decoder, Loader

    return Loader(
        data,
        inputs=model.inputs,
        clip=clip,
        audio=model.audio,
        batch=batch,
        views=views or recipe.data.views,
        crops=recipe.data.crops,
        train=False,
        workers=recipe.data.workers,
        on_bad=recipe.data.on_bad,
        max_bad=recipe.data.max_bad,
        decoder=Decoder(**recipe.data.decoder.model_dump()),
    )
