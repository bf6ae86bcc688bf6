"""What an exported file says of its model: written as JSON, read as untrusted input."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from zoo.artefact.manifest import ComponentRecord, Manifest, Record
from zoo_registry import __version__
from zoo_registry.entries import AudioSpec, ClipSpec
from zoo_registry.errors import ArtefactError, Location, Problem

if TYPE_CHECKING:
    from zoo.model import ZooModel

FORMAT = 1


class Description(Record):
    """Everything needed to feed a file and to read its answers.

    Attributes:
        format: version of this description.
        written_by: the library and its version.
        model: qualified name of the architecture.
        num_classes: outputs of its head; None for models without one.
        inputs: keys of `Batch.inputs`, in the order the file takes them.
        clip, audio: what the inputs look like; with `preprocess` what becomes of them inside.
        labels: names of the classes in the order of the outputs; may be empty when unknown.
        task: what reads the outputs, for `predict`.
        structure: names of the compression strategies that made it, in order.
        licence: SPDX identifier of the weights; None is shown as unknown.
        preprocess: whether the file takes uint8 frames of any size and resizes, crops and normalises them itself.
    """

    format: Literal[1] = 1
    written_by: str = f"videozoo {__version__}"
    model: str
    num_classes: Annotated[int, Field(ge=1)] | None = None
    inputs: tuple[str, ...] = ("clip_bcthw",)
    clip: ClipSpec | None = None
    audio: AudioSpec | None = None
    labels: tuple[str, ...] = ()
    task: ComponentRecord | None = None
    structure: tuple[str, ...] = ()
    licence: str | None = None
    preprocess: bool = False


def described(
    *,
    model: str,
    num_classes: int | None = None,
    inputs: Sequence[str] = ("clip_bcthw",),
    clip: ClipSpec | None = None,
    audio: AudioSpec | None = None,
    labels: Sequence[str] = (),
    task: Mapping[str, Any] | None = None,
    structure: Sequence[str] = (),
    licence: str | None = None,
    preprocess: bool = False,
) -> dict[str, Any]:
    """The JSON-able mapping that exporters keep in their files; see `Description`."""
    description = Description(
        model=model, num_classes=num_classes, inputs=tuple(inputs), clip=clip, audio=audio, labels=tuple(labels),
        task=ComponentRecord(name=str(task["name"]), params=dict(task.get("params", {}))) if task else None,
        structure=tuple(structure), licence=licence, preprocess=preprocess,
    )  # fmt: skip
    return dict(json.loads(description.model_dump_json()))


def description_of(model: ZooModel, *, preprocess: bool = False) -> dict[str, Any]:
    """The same of a loaded model."""
    return described(
        model=model.name, num_classes=model.num_classes, inputs=model.inputs, clip=model.clip, audio=model.audio,
        labels=model.labels, task=model.task, structure=[str(step["strategy"]) for step in model.structure],
        licence=model.licence, preprocess=preprocess,
    )  # fmt: skip


def manifest_description(manifest: Manifest, *, preprocess: bool = False) -> dict[str, Any]:
    """The same of a model folder, from its `model.json`."""
    return described(
        model=manifest.model, num_classes=manifest.num_classes, inputs=manifest.inputs, clip=manifest.clip,
        audio=manifest.audio, labels=manifest.labels, task=manifest.task.model_dump() if manifest.task else None,
        structure=[step.strategy for step in manifest.structure], licence=manifest.licence, preprocess=preprocess,
    )  # fmt: skip


def parse(data: Mapping[str, Any], file: str) -> Description:
    """Check what a file says of itself.

    Raises:
        ArtefactError: it says something else than a description; all of it at once.
    """
    where = Location(file)
    version = data.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise ArtefactError(
            f"described in format {version}, this videozoo reads up to {FORMAT}",
            where=where,
            hint="pip install --upgrade videozoo",
        )
    try:
        return Description.model_validate(dict(data))
    except ValidationError as error:
        raise ArtefactError(
            Problem(f"its description: {'.'.join(map(str, item['loc']))}: {item['msg']}", where)
            for item in error.errors()
        ) from None
