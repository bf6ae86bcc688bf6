"""Writes a model folder, whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.artefact.file_names import LABELS, MANIFEST, WEIGHTS
from zoo.artefact.folder import whole_folder
from zoo.artefact.manifest import parse_manifest
from zoo.artefact.weights import write_weights
from zoo_registry.errors import ArtefactError, Location, UnknownName
from zoo_registry.names import Name

if TYPE_CHECKING:
    from torch.nn import Module

    from zoo_registry.entries import AudioSpec, ClipSpec


def save_model(
    folder: str | Path,
    module: Module,
    *,
    model: str,
    params: Mapping[str, Any],
    clip: ClipSpec | None,
    audio: AudioSpec | None = None,
    inputs: Sequence[str] = ("clip_bcthw",),
    labels: Sequence[str] = (),
    task: Mapping[str, Any] | None = None,
    structure: Sequence[Mapping[str, Any]] = (),
    licence: str | None = None,
    plugins: Mapping[str, Mapping[str, str]] | None = None,
    metrics: Mapping[str, float] | None = None,
    num_classes: int | None = None,
    untrained: Sequence[str] = (),
) -> None:
    """Write `model.safetensors`, `model.json` and `labels.json`.

    Args:
        folder: where; a model that is already there is replaced when the new one is complete.
        module: whose state dict is saved.
        model: qualified name of its architecture.
        params: final parameters of the builder.
        clip: frames, size and normalisation that the model wants; None for one that takes no clip.
        audio: the sound that it wants, if any.
        inputs: keys of `Batch.inputs`, in the order the model takes them.
        labels: names of its classes, in the order of its outputs.
        task: `{name, params}` of the task that reads its outputs.
        structure: what compression left: `{strategy, version, record}` in the order it was applied.
        licence: SPDX identifier of the weights.
        plugins: `{namespace: {distribution, version}}`; by default of everything named here.
        metrics: measured figures by name.
        num_classes: when the classes have no names; by default how many labels there are.
        untrained: keys of the weights that nothing has trained.

    Raises:
        ArtefactError: something cannot be saved, or the folder holds other things than a model.

    Example:
        >>> save_model("runs/x/model", module, model="basic/cnn3d", params={}, clip=clip, labels=("left", "right"),
        ...            task={"name": "tasks/classification", "params": {}})    # doctest: +SKIP
    """
    folder = Path(folder)
    described = {
        "model": model,
        "params": dict(params),
        "num_classes": num_classes if num_classes is not None else (len(labels) or None),
        "inputs": list(inputs),
        "clip": clip,
        "audio": audio,
        "labels": list(labels),
        "task": dict(task) if task else None,
        "structure": [dict(step) for step in structure],
        "plugins": plugins if plugins is not None else plugins_of(_named(model, task, structure)),
        "licence": licence,
        "metrics": {name: value if math.isfinite(value) else None for name, value in (metrics or {}).items()},
        "untrained": list(untrained),
    }
    with whole_folder(folder) as temporary:
        weights = write_weights(module, temporary / WEIGHTS)
        manifest = parse_manifest({**described, "weights": weights}, Location(str(folder / MANIFEST)))
        try:
            text = manifest.to_json()
        except (ValueError, TypeError) as error:
            raise ArtefactError(f"{model} cannot be described in {MANIFEST}: {error}") from error
        (temporary / MANIFEST).write_text(text, encoding="utf-8")
        (temporary / LABELS).write_text(json.dumps(list(labels), ensure_ascii=False) + "\n", encoding="utf-8")


def _named(model: str, task: Mapping[str, Any] | None, structure: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    tasks = [("task", str(task["name"]))] if task else []
    return [("model", model), *tasks, *(("compression", str(step["strategy"])) for step in structure)]


def plugins_of(components: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Which distributions brought some components, given as (kind, name): `{namespace: {distribution, version}}`."""
    from zoo_registry.catalog import catalog

    found = {}
    for kind, name in components:
        try:
            listed = catalog().resolve(kind, Name.parse(name))
        except UnknownName as error:
            raise ArtefactError(f"a model can only be saved by names of installed components: {error}") from error
        found[listed.namespace] = {"distribution": listed.plugin.distribution, "version": listed.plugin.version}
    return found
