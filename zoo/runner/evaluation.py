"""Measures a model or a run on a split of data: what `zoo evaluate` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.runner.pipeline import open_splits
from zoo_registry.errors import RunError

if TYPE_CHECKING:
    from zoo.model import ZooModel
    from zoo.recipe import LoadedRecipe


def evaluate_model(
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
    from zoo.build import build
    from zoo.data import Loader, Preprocess, Quarantine
    from zoo.model import load
    from zoo.runner.device import choose_device
    from zoo.runner.evaluate import evaluate
    from zoo.runner.progress import Progress
    from zoo_registry.catalog import cache_folder, catalog

    where = choose_device(device)
    model = load(reference, device=where)
    if model.task is None:
        raise RunError(f"{reference} was saved without a task, so nothing can measure it")
    loaded = _loaded(model, reference, source, overrides, split)
    recipe = loaded.schema
    provided = {"seed": recipe.run.seed, "cache": cache_folder(), "base": loaded.base, "clip": model.clip}
    opened = open_splits(recipe, provided, labels=model.labels or None)
    if split not in opened:
        raise RunError(f"the recipe of {reference} names no data.{split}", hint="say --data SOURCE")
    described = {"model": model.network, "losses": {}, "labels": model.labels or opened[split].labels}
    described |= {"num_classes": model.num_classes, "inputs": model.inputs, "audio": model.audio}
    task = build(catalog().resolve("task", model.task["name"]), model.task.get("params", {}), provided | described)
    loader = Loader(
        opened[split],
        inputs=model.inputs,
        clip=model.clip,
        audio=model.audio,
        batch=batch,
        views=views or recipe.data.views,
        train=False,
        workers=recipe.data.workers,
        on_bad=recipe.data.on_bad,
        quarantine=Quarantine(None),
        max_bad=recipe.data.max_bad,
    )
    with Progress() as progress:
        preprocess = Preprocess(model.clip).to(where)
        measured = evaluate(
            task, model, loader, preprocess=preprocess, device=where, precision=recipe.run.precision, progress=progress
        )
    loader.close()
    return {**measured.metrics, "samples": measured.samples}


def _loaded(model: ZooModel, reference: str, source: str | None, overrides: Sequence[str], split: str) -> LoadedRecipe:
    """The recipe whose data is measured: the run's own, or one made of the named source."""
    from zoo.runner.stages import load_checked

    if source is not None and model.task is not None:
        recipe = {"zoo": 1, "task": model.task["name"], "model": model.name, "data": {split: {"name": source}}}
        return load_checked(recipe, [f"data.{split}.params.{text}" for text in overrides])
    for folder in (Path(reference), Path(reference).parent):
        if (folder / "recipe.resolved.yaml").is_file():
            return load_checked(folder / "recipe.resolved.yaml")
    raise RunError(
        f"nothing says on which data to measure {reference}",
        hint="say --data SOURCE --set path=...; a run brings its own",
    )
