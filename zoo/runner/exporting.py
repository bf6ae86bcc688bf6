"""Writes the files that a recipe's `export` names, compared on the run's own clips."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.artefact.manifest import read_manifest
from zoo.export import Exported, Unprepared, export, manifest_description, pairs_of
from zoo_registry.catalog import catalog
from zoo_registry.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from zoo.recipe.schema import ExportSlot
    from zoo.runner.folder import RunFolder
    from zoo.runner.pipeline import Pipeline
    from zoo_registry.protocols import Batch


def write_exports(
    slots: Sequence[ExportSlot],
    module: Module,
    pipeline: Pipeline,
    folder: RunFolder,
    batches: Sequence[Batch],
    split: str,
    progress: Callable[[str], None],
) -> list[Exported]:
    """Write and compare the files of a run, in the order of its recipe.

    Args:
        slots: of the recipe.
        module: the model, as it is saved in the folder.
        pipeline: its task and data; the task is on the CPU.
        folder: of the run; files go there as `model.onnx` and so on, a second one of a format as `model-2.onnx`.
        batches: preprocessed batches of a split to compare on.
        split: which one.
        progress: told what is being done.

    Raises:
        ExportError: a file that cannot be written or says something else.
    """
    manifest, written = read_manifest(folder.model), list[Exported]()
    for slot in slots:
        listed = catalog().resolve("exporter", slot.name)
        written.append(
            export(
                module,
                listed,
                slot.params,
                example=tuple(value[:1] for value in batches[0].inputs.values()),
                path=_free_name(folder.path, getattr(listed.entry, "suffix", ""), [file.path for file in written]),
                batches=batches,
                predict=pipeline.task.predict,
                inputs=pipeline.listed.model.inputs,
                progress=progress,
                calibration=calibration_of(pipeline) if "train" in pipeline.splits else None,
                metadata=manifest_description(manifest, preprocess=slot.preprocess),
                unprepared=_unprepared(pipeline, batches, split) if slot.preprocess else None,
            )
        )
    return written


def _free_name(folder: Path, suffix: str, taken: Sequence[Path]) -> Path:
    """`model.onnx`, and `model-2.onnx` where this run has written that already."""
    path, number = folder / f"model{suffix}", 2
    while path in taken:
        path, number = folder / f"model-{number}{suffix}", number + 1
    return path


def calibration_of(pipeline: Pipeline) -> Callable[[int], Iterator[tuple[Tensor, ...]]]:
    """Training clips as evaluation would prepare them, the same ones at every call."""

    def batches(count: int) -> Iterator[tuple[Tensor, ...]]:
        preprocess = copy.deepcopy(pipeline.preprocess).to("cpu")
        with closing(pipeline.loader("train", shuffled=True)) as loader:
            for batch in islice(loader.epoch(0), count):
                yield tuple(preprocess(batch).inputs.values())

    return batches


def _unprepared(pipeline: Pipeline, batches: Sequence[Batch], split: str) -> Unprepared:
    if pipeline.clip is None:
        raise ExportError("preprocess: true prepares clips, and this model takes none", hint="leave `preprocess` out")
    data = pipeline.recipe.data
    samples = pipeline.splits[split].shuffled(pipeline.recipe.run.seed).samples  # as the batches were loaded
    pairs = pairs_of(batches, samples or (), pipeline.clip, views=data.views, crops=data.crops)
    return Unprepared(pipeline.clip, pairs)
