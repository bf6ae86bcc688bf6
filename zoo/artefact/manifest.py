"""`model.json`: the only file needed beside the weights. Read as untrusted input; needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zoo.artefact.file_names import MANIFEST
from zoo_registry.entries import AudioSpec, ClipSpec
from zoo_registry.errors import ArtefactError, Location, Problem

FORMAT = 1
LARGEST = 16 * 2**20
"""Bytes of the longest `model.json` that is read; 22,000 labels and the record of a pruned network need about 2 MiB."""


class Record(BaseModel):
    """Base of every part: unknown keys are errors, because an older reader cannot know what they change."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ComponentRecord(Record):
    """A component by qualified name, with its final parameters."""

    name: str
    params: dict[str, Any] = {}


class PluginRecord(Record):
    """The distribution that brought a namespace, as it was when the model was saved."""

    distribution: str
    version: str


class StructureStep(Record):
    """What one compression strategy did, for its `restore` to do again."""

    strategy: str
    version: int
    record: dict[str, Any]


class WeightsFile(Record):
    """The file that the rest belongs to."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(Record):
    """Everything needed to build a model again and to feed it.

    Attributes:
        format: version of this format.
        model: qualified name of the architecture.
        params: final parameters of its builder.
        num_classes: outputs of its head; None for models without one.
        inputs: keys of `Batch.inputs`, in the order the model takes them.
        clip, audio: what the inputs look like.
        labels: names of the classes in the order of the outputs; may be empty when unknown.
        task: what reads the outputs, for `predict`.
        structure: what compression changed, in order.
        plugins: distribution and version by namespace.
        licence: SPDX identifier of the weights; None is shown as unknown.
        metrics: measured by the run that saved it; None where a measure saw nothing.
        untrained: keys of the weights that nothing has trained: the head of a backbone that learnt without it.
        weights: checksum and size of `model.safetensors`.
    """

    format: Literal[1] = 1
    model: str
    params: dict[str, Any] = {}
    num_classes: Annotated[int, Field(ge=1)] | None = None
    inputs: tuple[str, ...] = ("clip_bcthw",)
    clip: ClipSpec | None = None
    audio: AudioSpec | None = None
    labels: tuple[str, ...] = ()
    task: ComponentRecord | None = None
    structure: tuple[StructureStep, ...] = ()
    plugins: dict[str, PluginRecord] = {}
    licence: str | None = None
    metrics: dict[str, float | None] = {}
    untrained: tuple[str, ...] = ()
    weights: WeightsFile

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.labels and self.num_classes not in (None, len(self.labels)):
            raise ValueError(f"{len(self.labels)} labels, but num_classes is {self.num_classes}")
        return self

    def provided(self) -> dict[str, Any]:
        """What the builders of the model and of its task may ask for."""
        return {
            "num_classes": self.num_classes,
            "labels": self.labels,
            "inputs": self.inputs,
            "clip": self.clip,
            "audio": self.audio,
        }

    def to_json(self) -> str:
        """The text of `model.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read and check `model.json` of a model folder.

    Raises:
        ArtefactError: no model folder, a file too long or not JSON, or entries that are not as they should be (all of
            them at once).
    """
    path = folder / MANIFEST
    where = Location(str(path))
    if not path.is_file():
        raise ArtefactError(
            f"{str(folder)!r} is not a model folder: it has no {MANIFEST}",
            hint="a run writes one as RUN/model; `zoo.load` takes either",
        )
    with path.open("rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ArtefactError(f"longer than {LARGEST // 2**20} MiB", where=where, hint="this was not written by videozoo")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"not JSON: {error}", where=where, hint="fetch or save the model again") from None
    return parse_manifest(data, where)


def parse_manifest(data: Any, where: Location) -> Manifest:
    """Check what `model.json` says; see `read_manifest`."""
    if not isinstance(data, dict):
        raise ArtefactError("not a JSON object", where=where, hint="this was not written by videozoo")
    version = data.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise ArtefactError(
            f"written in format {version}, this videozoo reads up to {FORMAT}",
            where=where,
            hint="pip install --upgrade videozoo",
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise ArtefactError([_problem(item, where) for item in error.errors()]) from None


def _problem(error: Any, where: Location) -> Problem:
    place = ".".join(map(str, error["loc"]))
    words = {"missing": "is missing", "extra_forbidden": "is not a key of model.json"}.get(error["type"])
    message = words or error["msg"].removeprefix("Value error, ")
    joint = " " if words else ": "
    return Problem(f"{place}{joint}{message}" if place else message, where)
