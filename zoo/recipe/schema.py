"""The slots of a recipe, as pydantic models: the one place that says what a recipe may hold.

Every model forbids unknown keys. The loader (`zoo.recipe.load`) expands shorthand and merges before it validates, so
what arrives here is in the long form; `name` alone is still accepted for `{name: name}`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, WithJsonSchema

from zoo_registry.spec_rules import HIGHEST_FPS, LEAST_STD, LONGEST_SIDE, MOST_FRAMES, WIDEST

Params = dict[str, Any]


class Slot(BaseModel):
    """Base of every slot: unknown keys are errors, values are never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


def _same(value: Any) -> Any:
    return value


class Component(Slot):
    """A component by name, with the parameters that its builder takes."""

    name: str
    """`[namespace/]name`; `zoo models` and `zoo plugins` list what there is."""
    params: Params = {}
    """Arguments of the builder; `zoo show NAME` lists them."""


NamedComponent = Annotated[Component, BeforeValidator(_by_name, json_schema_input_type=str | Component)]
Components = Annotated[
    list[NamedComponent],
    BeforeValidator(_listed, json_schema_input_type=str | Component | list[str | Component]),
]


class AugmentSlot(Component):
    """An augmentation, and where it runs."""

    where: Literal["device", "worker"] = "device"
    """On the device that trains, or in the processes that decode; those in workers come first in the list."""


NamedAugment = Annotated[AugmentSlot, BeforeValidator(_by_name, json_schema_input_type=str | AugmentSlot)]
Augments = Annotated[
    list[NamedAugment],
    BeforeValidator(_listed, json_schema_input_type=str | AugmentSlot | list[str | AugmentSlot]),
]


class FreezeSlot(Slot):
    """The part of the model that does not learn and computes as in evaluation."""

    until: str
    """Its last stage, such as `stage3`; all stages before it belong to the part."""


class ModelSlot(Component):
    """The model, the weights it starts from, and what of it stays as it is."""

    weights: str | None = None
    """Tag of published weights, or `hf://...` or `file:...`; none means random initialisation."""
    freeze: FreezeSlot | None = None
    """The first stages, which do not learn; none: all of it learns."""


NamedModel = Annotated[ModelSlot, BeforeValidator(_by_name, json_schema_input_type=str | ModelSlot)]


class LossSlot(Component):
    """A loss and its weight in the sum."""

    weight: float = 1.0
    """Factor of this loss in the total."""


NamedLoss = Annotated[LossSlot, BeforeValidator(_by_name)]
_WrittenLoss = str | LossSlot | list[str | LossSlot]
LossesByRole = Annotated[
    dict[str, list[NamedLoss]],
    BeforeValidator(_same, json_schema_input_type=_WrittenLoss | dict[str, _WrittenLoss]),
]


Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE)]
FrameCount = Annotated[int, Field(ge=1, le=MOST_FRAMES)]
Mean = Annotated[float, Field(ge=-WIDEST, le=WIDEST)]
Deviation = Annotated[float, Field(ge=LEAST_STD, le=WIDEST)]


Native = Literal["native"]
"""As the film has it."""


class SplitClipSlot(Slot):
    """Changes to the clip spec for one split; what is not written stays as `data.clip` and the model want it."""

    frames: FrameCount | None = None
    """Frames of a clip."""
    stride: FrameCount | None = None
    """Every how many frames of the film one is taken."""
    size: Side | tuple[Side, Side] | Native | None = None
    """Height and width that enter the model; native: whole frames as the film has them, one a batch in evaluation."""
    resize: Side | tuple[Side, Side] | Native | None = None
    """Short side, or exact height and width, before the crop to `size`; native: nothing is resized, only cropped."""
    fps: Annotated[float, Field(gt=0, le=HIGHEST_FPS)] | None = None
    """Resample films to this frame rate by time."""
    interpolation: Literal["bilinear", "bicubic", "area", "nearest"] | None = None
    """Filter of the resize."""
    sampling: Literal["dense", "segments", "keyframes"] | None = None
    """Which frames: every `stride`-th, one of each of `frames` equal segments, or keyframes."""

    @property
    def changes(self) -> dict[str, Any]:
        """What is written, by the names of `zoo_registry.ClipSpec`."""
        return self.model_dump(exclude_none=True)


class ClipSlot(SplitClipSlot):
    """Changes to the model's clip spec; what is not written stays as the model wants it."""

    mean: Annotated[tuple[Mean, ...], Field(min_length=1)] | None = None
    """Per channel, for values in 0..1."""
    std: Annotated[tuple[Deviation, ...], Field(min_length=1)] | None = None
    """Per channel, for values in 0..1; as many as of `mean`."""


class SplitSlot(Component):
    """A source of samples, and how its clips differ from those of the other splits."""

    clip: SplitClipSlot = SplitClipSlot()
    """Changes to `data.clip` for this split alone, such as patches to train on; the model is saved with `data.clip`."""


NamedSplit = Annotated[SplitSlot, BeforeValidator(_by_name, json_schema_input_type=str | SplitSlot)]


class DecoderSlot(Slot):
    """What decodes films, on what, and how long it may take."""

    name: Literal["pyav", "torchcodec"] = "pyav"
    """torchcodec is an extra, and needs FFmpeg's shared libraries on the machine."""
    hardware: str | None = None
    """Device that decodes: cuda, vaapi, videotoolbox, qsv, ... with pyav; cuda with torchcodec. None: the processor."""
    time_limit: Annotated[float, Field(ge=1)] = 120.0
    """Seconds of work on one film before it counts as one that cannot be decoded; with less than one, good films do."""


NamedDecoder = Annotated[DecoderSlot, BeforeValidator(_by_name, json_schema_input_type=str | DecoderSlot)]


class DataSlot(Slot):
    """Where samples come from and how they are read."""

    train: NamedSplit | None = None
    """Training samples."""
    val: NamedSplit | None = None
    """Validation samples: evaluated after every epoch, decide what is best."""
    test: NamedSplit | None = None
    """Test samples: evaluated once, at the end."""
    clip: ClipSlot = ClipSlot()
    """Changes to the model's clip spec."""
    views: PositiveInt = 1
    """Clips per film in evaluation, spread evenly over it and averaged."""
    crops: Literal[1, 3] = 1
    """Crops per clip in evaluation: its centre, or both ends of the longer side besides; averaged like `views`."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that decode; 0 decodes in the main process."""
    decoder: NamedDecoder = DecoderSlot()
    """What decodes films."""
    balance: Literal["none", "class", "square_root"] = "none"
    """How often training shows samples of rare classes: as the data has them, all classes equally often, or in
    proportion to the square root of their number; drawn with replacement, an epoch stays as long."""
    repeat: PositiveInt = 1
    """How often in a row training shows every sample, augmented differently each time; an epoch is so much longer."""
    on_bad: Literal["quarantine", "raise"] = "quarantine"
    """A file that cannot be decoded is set aside with its reason and counted, or stops the run."""
    max_bad: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Stop a run when more than this part of a split turned out to be bad."""


class ScheduleSlot(Component):
    """How the learning rate changes.

    constant, cosine, linear, poly, exponential, one_cycle, wsd, step, multistep or plateau; all take `warmup`.
    """


NamedSchedule = Annotated[ScheduleSlot, BeforeValidator(_by_name, json_schema_input_type=str | ScheduleSlot)]


LayerDecay = Annotated[float, Field(gt=0, le=1)]


class GroupSlot(Slot):
    """Parameters of the model that the optimiser treats differently."""

    match: Annotated[str, Field(min_length=1)]
    """Pattern of their names, such as `head.*`; `*` stands for anything. The first pattern that matches wins."""
    params: Params
    """Merged over the params of the optimiser for them, such as `lr` and `weight_decay`."""


class ObjectiveOptimSlot(Slot):
    """Changes to the optimiser for one objective."""

    name: str | None = None
    """Another optimiser."""
    params: Params = {}
    """Merged over the params of `optim` when the optimiser is the same."""
    schedule: NamedSchedule | None = None
    """Another schedule."""
    layer_decay: LayerDecay | None = None
    """Another factor from a layer to the one before it; 1 for the same rate everywhere."""
    decay_norms_and_biases: bool | None = None
    """Whether weight decay holds for norms and biases of this objective."""
    groups: list[GroupSlot] | None = None
    """Other groups of parameters; an empty list for none."""


NamedObjectiveOptim = Annotated[
    ObjectiveOptimSlot, BeforeValidator(_by_name, json_schema_input_type=str | ObjectiveOptimSlot)
]


class OptimSlot(Component):
    """The optimiser by its torch.optim name in lower case (sgd, adamw, ...) or its name in timm (lamb, lion, ...)."""

    schedule: NamedSchedule | None = None
    """How the learning rate changes; none keeps it."""
    layer_decay: LayerDecay | None = None
    """Factor of the learning rate from each layer of the model to the one before it; the head has the full rate."""
    decay_norms_and_biases: bool = True
    """Whether weight decay also holds for norms, biases and all else of one dimension, and for position tables."""
    groups: list[GroupSlot] = []
    """Parameters with a rate, decay or other params of their own, by patterns of their names."""
    per_objective: dict[str, NamedObjectiveOptim] = {}
    """Changes for single objectives of the task."""


NamedOptim = Annotated[OptimSlot, BeforeValidator(_by_name, json_schema_input_type=str | OptimSlot)]


class AverageSlot(Component):
    """An average of the weights, which is judged and becomes the result: ema (moving) or swa (of the last epochs)."""


NamedAverage = Annotated[AverageSlot, BeforeValidator(_by_name, json_schema_input_type=str | AverageSlot)]


class EarlyStopSlot(Slot):
    """Stop when the monitored metric no longer improves."""

    patience: PositiveInt = 5
    """Epochs without improvement."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """What counts as improvement."""


class CheckpointSlot(Slot):
    """When the state of a run is written."""

    every_steps: PositiveInt | None = None
    """Every so many optimiser steps, besides the end of each epoch."""
    keep: PositiveInt = 2
    """How many of the newest stay; the best ones stay besides."""
    keep_best: PositiveInt = 1
    """How many of those with the best validation metric stay."""


class CompileSlot(Slot):
    """How `torch.compile` turns the model into kernels of its own."""

    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    """As torch names them; reduce-overhead replays CUDA graphs, which pays for small steps."""
    regions: Literal["auto", "whole", "layers"] = "auto"
    """The model in one piece, or each of its layers alone: equal layers are then compiled once. auto is layers where
    at least four are equal."""


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = r"(?:\d+(?:\.\d+)?[smhd]\s*)+"


def _seconds(value: Any) -> Any:
    """`1h30m` in seconds."""
    if not isinstance(value, str):
        return value
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)([smhd])", value))


Duration = Annotated[
    float,
    Field(gt=0),
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": f"^{_DURATION}$", "examples": ["45m", "1h30m"]},
            ]
        }
    ),
]
"""Seconds, or a text such as `45m` or `1h30m`."""


class RunSlot(Slot):
    """How long, on what, and how exactly."""

    epochs: Annotated[int, Field(ge=0)] = 10
    """Passes over the training data."""
    batch: PositiveInt = 8
    """Samples per batch."""
    accumulate: PositiveInt = 1
    """Batches per optimiser step."""
    micro_batch: PositiveInt | Literal["auto"] | None = None
    """Samples that the device computes at once: larger batches go in parts whose gradients are added up. auto begins
    with the whole batch and halves it until it fits into a GPU's memory; none: the whole batch."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """What forward passes compute in. auto on a GPU is bf16 where it has it, else fp16 with scaled gradients, and TF32
    for what stays in fp32; elsewhere it is fp32."""
    compile: bool | CompileSlot = False
    """Have torch.compile make kernels for the model; costs up to minutes at the first step. true, false, or how."""
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    """How weights of convolutions, and so what they compute, lie in memory; auto is channels_last on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Everything random follows from it."""
    deterministic: bool = False
    """Only deterministic kernels; slower on a GPU."""
    threads: PositiveInt | None = None
    """CPU threads of the main process; none leaves torch's choice. Resume is exact at equal thread count."""
    gradient_checkpointing: bool = False
    """Less memory for more time: keep what enters each layer, and compute the rest again in the backward pass."""
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = None
    """Longest gradient norm per objective."""
    clip_grad_value: Annotated[float, Field(gt=0)] | None = None
    """Largest absolute value of a number in a gradient; before clip_grad_norm where both are set."""
    average: NamedAverage | None = None
    """Evaluate, and end with, an average of the weights instead of the last ones."""
    early_stop: EarlyStopSlot | None = None
    """Stop when the monitored metric no longer improves."""
    checkpoint: CheckpointSlot = CheckpointSlot()
    """When the state of the run is written."""
    max_time: Duration | None = None
    """Train no longer than so many seconds, or `1h30m`; then a checkpoint is written and the other stages run."""
    on_non_finite: Literal["stop", "skip", "back_off"] = "stop"
    """When a loss or gradient is NaN or infinite: stop; leave that step out and count it; or go back to the last
    checkpoint with half the learning rate."""
    on_out_of_memory: Literal["stop", "halve"] = "stop"
    """When a batch does not fit on the device: stop, or compute it in halves (see micro_batch) and go on."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """How several processes share the work: each holds the whole model, or a part of it (one objective only)."""
    sync_batch_norm: bool = False
    """Batch norms take the statistics of all processes' samples; GPUs only."""
    find_unused_parameters: bool = False
    """Look in every step of several processes which parameters the loss did not use; only for models that have some."""
    auto: bool = False
    """Try memory_format and compile for about a minute before the first step, take the fastest, and write it down."""
    energy: Literal["auto", "off"] = "auto"
    """Measure what training draws, or estimate it where the machine has no counters."""
    carbon_intensity: Annotated[float, Field(ge=0)] | None = None
    """Grams of CO2 for a kilowatt-hour where and when the run takes place; none: CO2 is not reported."""
    log_every: PositiveInt = 10
    """Optimiser steps between two readings of the losses."""
    observers: Components = []
    """Watchers of the run."""

    @property
    def compilation(self) -> CompileSlot | None:
        """How the model is compiled, None for not at all."""
        if isinstance(self.compile, bool):
            return CompileSlot() if self.compile else None
        return self.compile


class PublishSlot(Slot):
    """Where the result goes."""

    repo: str
    """`org/name` on the Hub, or `file:PATH` for a shared folder."""
    private: bool = False
    """For a repository that is made new."""
    licence: str | None = None
    """SPDX identifier of the weights; none: that of the weights the model started from, or publishing asks for one."""
    tag: str | None = None
    """Set on the commit after everything arrived."""


class CompressSlot(Component):
    """A compression strategy, and what it may cost."""

    max_drop: Annotated[float, Field(ge=0)] | None = None
    """How much worse than the original's the task's monitored metric may be after it, in the metric's own unit. Where
    it is more the run ends there with the last model that was good enough; none: whatever it costs."""


NamedCompress = Annotated[CompressSlot, BeforeValidator(_by_name, json_schema_input_type=str | CompressSlot)]
Compressions = Annotated[
    list[NamedCompress],
    BeforeValidator(_listed, json_schema_input_type=str | CompressSlot | list[str | CompressSlot]),
]


class ExportSlot(Component):
    """A file format, and whether preparing pixels is part of the file."""

    preprocess: bool = False
    """Whether the file takes uint8 frames of any size, and resizes, crops and normalises them itself."""


NamedExport = Annotated[ExportSlot, BeforeValidator(_by_name, json_schema_input_type=str | ExportSlot)]
Exports = Annotated[
    list[NamedExport],
    BeforeValidator(_listed, json_schema_input_type=str | ExportSlot | list[str | ExportSlot]),
]


class RecipeSchema(Slot):
    """A whole pipeline: what is trained on what, and what becomes of it. Each stage runs only if its slot is filled."""

    zoo: Literal[1]
    """Version of the recipe format."""
    extends: str | None = None
    """A recipe to start from: a name, a path or `hf://org/repo@sha`."""
    task: NamedComponent
    """What the model is trained and judged for."""
    model: NamedModel
    """The architecture."""
    data: DataSlot = DataSlot()
    """Where samples come from."""
    augment: Augments = []
    """Changes of training clips, in order. Resize, crop and normalisation for the model are not written here."""
    loss: LossesByRole = {}
    """Losses by the task's roles; one loss or a list fills the task's first role (shorthand)."""
    optim: NamedOptim | None = None
    """The optimiser; without it nothing is trained."""
    run: RunSlot = RunSlot()
    """How long, on what, and how exactly."""
    compress: Compressions = []
    """Compression strategies, in order, each measured before and after."""
    export: Exports = []
    """File formats to write, each reloaded and compared."""
    publish: PublishSlot | None = None
    """Where the result goes."""
