"""Writes a run's model as it is published: what its builder was given, what compression changed, who reads it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.runner.pipeline import Pipeline
from zoo_registry.catalog import catalog

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class Reloading:
    """Saves a module with its structure and loads it as somebody else would: the `zoo.compress.apply.Reload` of a run.

    Attributes:
        folder: where the copy lies meanwhile.
        pipeline: what the module came from.
        device: where it goes.
        licence: as in the model folder.
        untrained: as in the model folder.
    """

    folder: Path
    pipeline: Pipeline
    device: torch.device
    licence: str | None
    untrained: Sequence[str]

    def __call__(self, module: Module, structure: Sequence[Mapping[str, Any]]) -> tuple[Module, int]:
        """The module from its file, and the size of that in bytes."""
        from zoo.artefact import load_model
        from zoo.artefact.file_names import WEIGHTS

        try:
            save_as(self.folder, module, self.pipeline, structure, {}, self.licence, self.untrained)
            size = (self.folder / WEIGHTS).stat().st_size
            return load_model(self.folder, device=self.device).network, size
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def save_as(
    folder: Path,
    module: Module,
    pipeline: Pipeline,
    structure: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, float],
    licence: str | None,
    untrained: Sequence[str],
) -> None:
    """Write a model folder.

    Args:
        folder: where.
        module: the network.
        pipeline: what it came from.
        structure: what compression changed.
        metrics: what was measured.
        licence: of the weights.
        untrained: keys that nothing has trained.
    """
    from zoo.artefact import save_model
    from zoo.build import parameters

    says_classes = any(parameter.name == "num_classes" for parameter in parameters(pipeline.listed))
    save_model(
        folder,
        module,
        model=pipeline.listed.name,
        params=pipeline.recipe.model.params,
        clip=pipeline.clip,
        audio=pipeline.audio,
        inputs=pipeline.listed.model.inputs,
        labels=pipeline.labels if says_classes and not untrained else (),
        num_classes=len(pipeline.labels) or None if says_classes else None,
        task=_reading_task(pipeline),
        structure=structure,
        metrics=metrics,
        licence=licence,
        untrained=untrained,
    )


def untrained_keys(pipeline: Pipeline) -> list[str]:
    """Keys of the result that no objective has trained and no weights have brought: a head that took no part."""
    if pipeline.recipe.optim is None or "train" not in pipeline.splits:
        return []
    learnt = {id(parameter) for objective in pipeline.task.objectives() for parameter in objective.parameters}
    return [
        name
        for name, parameter in pipeline.task.result().named_parameters()
        if id(parameter) not in learnt
        and parameter.requires_grad
        and (pipeline.weights is None or name in pipeline.weights.skipped)
    ]


def _reading_task(pipeline: Pipeline) -> dict[str, Any]:
    """The task that reads the model's outputs: the recipe's, or what the model is meant for where that one needs more.

    A task that wraps another one, such as distillation, needs its teacher only to train.
    """
    from zoo.build import parameters

    trained_for = catalog().resolve("task", pipeline.recipe.task.name)
    schemas = [parameter.schema or {} for parameter in parameters(trained_for)]
    needs_more = any("component" in part for schema in schemas for part in (schema, *schema.get("anyOf", ())))
    meant_for = catalog().resolve("task", pipeline.listed.model.task).name
    if needs_more and trained_for.name != meant_for:
        return {"name": meant_for, "params": {}}
    return {"name": trained_for.name, "params": dict(pipeline.recipe.task.params)}
