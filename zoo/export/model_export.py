"""Exports a loaded model: what `zoo export` and `zoo bench` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.export.description import description_of
from zoo.export.file_model import FileModel
from zoo.export.raw_clips import CLIP, Unprepared, prepared, whole_frames
from zoo.export.target import target_of
from zoo.export.write import Exported, export
from zoo_registry.catalog import catalog
from zoo_registry.errors import ExportError
from zoo_registry.protocols import Batch, Outputs, Sample

if TYPE_CHECKING:
    from zoo.model import ZooModel


def export_model(
    model: ZooModel,
    to: str,
    path: str | Path | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    films: Sequence[str] = (),
    noise: bool = False,
    preprocess: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Write a model as a file of some format, compared with it on films.

    Args:
        model: from `zoo.load`.
        to: name of the exporter, such as `onnx`.
        path: of the file; a folder (one that is there, or a path that ends in `/`) or None writes `model<suffix>` there
            or here.
        params: of the exporter, as in a recipe.
        films: whose clips the file is compared on, and calibrated on where it is quantised.
        noise: compare on noise instead; says that numbers are right, and nothing of real clips.
        preprocess: the file takes uint8 frames of any size.
        progress: told what is being done.

    Returns:
        What was written and how it compares.

    Raises:
        ExportError: no films and no noise, a name that does not end as the format's files do, a model that is an
            exported file itself, or a file that cannot be written or says something else.

    Example:
        >>> export_model(zoo.load("runs/quickstart"), "onnx", films=["film.mp4"])    # doctest: +SKIP
    """
    listed = catalog().resolve("exporter", to)
    if isinstance(model, FileModel):
        raise exported_already(model.path)
    target = target_of(path, listed)
    if not films and not noise:
        raise ExportError(
            "there are no films to compare the exported file on",
            hint="name some with --film, or say --noise; a run exports on its own data (export: in the recipe)",
        )
    if noise and not films and preprocess:
        raise ExportError("preprocess compares pixels of films, and there are none", hint="name some with --film")
    batches = prepared(model, films) if films else [noise_of(model, 2)]
    return export(
        model.network,
        listed,
        params or {},
        example=tuple(batches[0].inputs.values()),
        path=target,
        batches=batches,
        predict=predict_of(model),
        inputs=model.inputs,
        progress=progress,
        calibration=_calibration(batches) if films else None,
        metadata=description_of(model, preprocess=preprocess),
        unprepared=_unprepared(model, films, batches) if preprocess else None,
    )


def exported_already(path: Path) -> ExportError:
    """A file has no network that could be written in another format."""
    return ExportError(
        f"{path.name} is an exported file, and is not written again",
        hint="name the run or the model folder that it was written from",
    )


def predict_of(model: ZooModel) -> Callable[[Callable[..., Any], Batch], Outputs]:
    """How the model's task reads outputs; for a model without a task the outputs themselves."""
    if model.task is not None:
        return model.reader.predict

    def plain(run: Callable[..., Any], batch: Batch) -> Outputs:
        said = run(*batch.inputs.values())
        return dict(said) if isinstance(said, Mapping) else {"output": said}

    return plain


def noise_of(model: ZooModel, samples: int, seed: int = 0) -> Batch:
    """Inputs of the right shapes, with normally distributed values.

    Raises:
        ExportError: the model does not say what it takes.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = {key: torch.randn(samples, *shape, generator=generator) for key, shape in _shapes(model).items()}
    return Batch(inputs, {}, torch.arange(samples), torch.zeros(samples, dtype=torch.long))


def _shapes(model: ZooModel) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for key in model.inputs:
        if key == CLIP and model.clip is not None:
            size = (180, 320) if model.clip.native else model.clip.height_width
            shapes[key] = (len(model.clip.mean), model.clip.frames, *size)
        elif key == "audio_bcn" and model.audio is not None:
            shapes[key] = (model.audio.channels, model.audio.samples)
        else:
            raise ExportError(f"{model.name} does not say what {key} looks like", hint="name films with --film")
    return shapes


def _calibration(batches: Sequence[Batch]) -> Callable[[int], Iterator[tuple[Tensor, ...]]]:
    return lambda count: (tuple(batch.inputs.values()) for batch in islice(batches, count))


def _unprepared(model: ZooModel, films: Sequence[str], batches: Sequence[Batch]) -> Unprepared:
    clip = model.clip
    if clip is None:
        raise ExportError(f"{model.name} takes no clip that could be prepared", hint="leave preprocess out")

    def pairs() -> Iterator[tuple[Batch, Batch]]:
        for film, batch in zip(films, batches, strict=True):
            yield replace(batch, inputs=batch.inputs | {CLIP: whole_frames(Sample(film), clip)[None]}), batch

    return Unprepared(clip, pairs)
