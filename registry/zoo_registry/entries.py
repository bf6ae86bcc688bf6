"""What plugins declare: one frozen record a component, data only.

An import string is `package.module:function`; it is resolved when the component is built, never to list it.

The function behind `builder=` takes keyword-only parameters. Its signature *is* the schema of the recipe's
`params`: JSON-able annotations, ranges as `Annotated[float, Range(ge=0, le=1)]`, no `**kwargs`. A parameter
annotated `Provided[...]` comes from the run (see `zoo_registry.protocols.PROVIDED`), one annotated `Ref[Model]`
takes `{name, params, weights}` in the recipe and receives the built object. Functions that act on something that
exists (`Compression.apply`, `Exporter.write`) take it as positional parameters, before the keyword-only ones.

Example:
    >>> entry = Model("tiny", builder="acme.models:tiny", summary="Two convolutions.", task="classification",
    ...               clip=ClipSpec(frames=8, size=64))
    >>> entry.kind, entry.inputs
    ('model', ('clip_bcthw',))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from zoo_registry.errors import ParameterError
from zoo_registry.spec_rules import NATIVE, audio_faults, canvas_of, clip_faults, refuse


@dataclass(frozen=True)
class Range:
    """Bounds of a number, or of the length of a list or string; used inside `Annotated`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """What a model wants to see, and how pixels get there. Applied alike by train, evaluate, predict and export.

    Attributes:
        frames: frames of a clip, T; 1 to 65536.
        stride: every how many source frames one is taken (at `fps`, when given), 1 to 65536; counts for dense sampling.
        size: (height, width) that enters the model, each 1 to 16384; an int means a square. `native` is the whole
            frame as the film has it, neither resized nor cropped: films of two sizes then make no batch.
        resize: before the crop to `size`: an int is the length of the short side, a pair is (height,
            width) exactly, None scales the short side so that the frame just covers `size`. `native` resizes nothing:
            `size` is cut out of the frame as the film has it, which has to be as large.
        mean, std: per channel, for values in 0..1; as many of one as of the other, std above 0.
        fps: frame rate to which films are resampled by time before `stride` counts, above 0 to 10000; None for the
            film's own.
        interpolation: filter of the resize; `nearest` mixes no pixels, as masks need it.
        sampling: which frames of a film: `dense`, every `stride`-th from some place on; `segments`, one from each of
            `frames` equal segments, drawn in training and the middle one in evaluation (Temporal Segment Networks,
            Wang et al. 2016); `keyframes`, the same of its keyframes, which decode fastest.

    Raises:
        ParameterError: a `ValueError` with everything that is out of these bounds, or a clip of more than 2 GiB.

    Example:
        >>> ClipSpec(frames=16, stride=4, size=112, resize=128).height_width
        (112, 112)
    """

    frames: int
    stride: int = 1
    size: int | tuple[int, int] | Literal["native"]
    resize: int | tuple[int, int] | Literal["native"] | None = None
    mean: tuple[float, ...] = (0.45, 0.45, 0.45)
    std: tuple[float, ...] = (0.225, 0.225, 0.225)
    fps: float | None = None
    interpolation: Literal["bilinear", "bicubic", "area", "nearest"] = "bilinear"
    sampling: Literal["dense", "segments", "keyframes"] = "dense"

    def __post_init__(self) -> None:
        refuse("clip", clip_faults(vars(self)))

    @property
    def native(self) -> bool:
        """Whether frames stay as large as the film has them."""
        return self.size == NATIVE

    @property
    def height_width(self) -> tuple[int, int]:
        """The size as (height, width).

        Raises:
            ParameterError: it is that of each film.
        """
        if isinstance(self.size, str):
            raise ParameterError(
                "this has to know the height and width of clips, and the clip spec leaves films as they are",
                hint="write data.clip.size, such as 224 or [180, 320]",
            )
        return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])

    @property
    def canvas(self) -> tuple[int, int]:
        """(height, width) of a training clip before augmentation: `resize`, in the shape of `size`.

        Raises:
            ParameterError: it is that of each film.
        """
        return canvas_of(self.height_width, self.resize)

    @property
    def size_in_words(self) -> str:
        """Height and width, in words.

        Example:
            >>> ClipSpec(frames=1, size=(180, 320)).size_in_words, ClipSpec(frames=1, size="native").size_in_words
            ('180x320', 'as large as the film')
        """
        return "as large as the film" if self.native else "{}x{}".format(*self.height_width)

    @property
    def moments(self) -> str:
        """Which frames, in words.

        Example:
            >>> ClipSpec(frames=16, stride=4, size=224, fps=15).moments
            '16 frames, one of every 4 at 15 frames/s'
            >>> ClipSpec(frames=8, size=224, sampling="segments").moments
            '8 frames, one of each of 8 equal parts'
        """
        if self.sampling == "keyframes":
            return f"{self.frames} keyframes"
        rate = f" at {self.fps:g} frames/s" if self.fps else ""
        if self.sampling == "segments":
            return f"{self.frames} frames, one of each of {self.frames} equal parts{rate}"
        step = "one after the other" if self.stride == 1 else f"one of every {self.stride}"
        return f"{self.frames} frames, {step}{rate}"


@dataclass(frozen=True, kw_only=True)
class AudioSpec:
    """The sound that goes with a clip: the same span of time, resampled.

    Attributes:
        rate: samples per second, 1 to 768000.
        samples: length N after padding with silence or cutting at the end, 1 to 2**27.
        channels: 1 mixes down to mono; 2, 6 and 8 are stereo, 5.1 and 7.1.

    Raises:
        ParameterError: a `ValueError` with everything that is out of these bounds.

    Example:
        >>> AudioSpec(rate=16000, samples=32000).channels
        1
    """

    rate: int = 16000
    samples: int
    channels: int = 1

    def __post_init__(self) -> None:
        refuse("audio", audio_faults(vars(self)))


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Published weights of a model, by tag.

    Attributes:
        tag: what follows the dot in `x3d_s.k400`.
        source: URI of a file or repository: `hf://org/repo`, `https://...`.
        sha256: whole checksum, or the start of it that the publisher gives.
        labels: number of classes that the head has.
        label_file: where their names are, in the order of the outputs: `package:path/inside/it.txt`, a line each;
            `hf://org/repo`, whose `config.json` has them as `id2label`; or the import string of a function `() ->
            Iterable[str]`.
        metrics: what the publisher claims, by the name of the metric.
        claimed_by: who claims it and where: a paper's table, a page.
        licence: SPDX identifier; None is shown as unknown.
        clip: the clip spec these weights want, when not the model's own.
        convert: import string of `(state: Mapping[str, Tensor], module) -> Mapping[str, Tensor]`, where the publisher's
            keys are not the module's, or a key of the model's `layouts`. What it gives must fit key by key; only the
            last layer may be missing, and then starts from random values.
    """

    tag: str
    source: str
    sha256: str | None = None
    labels: int | None = None
    label_file: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    claimed_by: str | None = None
    licence: str | None = None
    clip: ClipSpec | None = None
    convert: str | None = None


@dataclass(frozen=True)
class Entry:
    """What every component has.

    Attributes:
        name: bare name, unique per kind within the plugin's namespace.
        builder: import string of the function that makes it.
        summary: one sentence that says what for.
        fixed: arguments bound by this entry, so that one builder serves a family; a recipe cannot change them.
        aliases: other names that mean this one.
        deprecated: why not to use it any more and what instead; hidden from lists.
        requires: modules that must be importable to build it.
        extra: the pip requirement that brings them, such as `videozoo[quantization]`.
        source: paper or specification, as text or URL.
        licence: SPDX identifier of the implementation.
    """

    kind: ClassVar[str] = "component"

    name: str
    builder: str
    summary: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    aliases: tuple[str, ...] = field(default=(), kw_only=True)
    deprecated: str | None = field(default=None, kw_only=True)
    requires: tuple[str, ...] = field(default=(), kw_only=True)
    extra: str | None = field(default=None, kw_only=True)
    source: str | None = field(default=None, kw_only=True)
    licence: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Model(Entry):
    """An architecture. Builder: `(*, num_classes: Provided[int], ...) -> torch.nn.Module`.

    The module is called with its inputs as positional arguments, in the order of `inputs`. What else it may offer, and
    what that brings, says `zoo_registry.protocols.StagedNetwork`. A builder that takes `in_channels` or `drop_path`
    gives them these names.

    Attributes:
        task: the task it is meant for, by name.
        inputs: keys of `Batch.inputs` it takes.
        clip, audio: what its inputs look like.
        weights: published weights by tag.
        parameters: exact number of parameters with `num_classes=400`, where published; checked by the conformance kit.
        gmacs: billions of multiply-adds of one clip of the model's own clip spec, where published or measured; checked
            within 1 % by the conformance kit.
        layouts: other projects' checkpoints that `zoo convert` can read: a name such as `pytorchvideo`, and the import
            string of `(state: Mapping[str, Tensor], module) -> Mapping[str, Tensor]`. A converter leaves out nothing it
            does not know, so that what it cannot explain is reported.
        limits: what this model cannot do of what the model table checks, a sentence each by the name of the check:
            `{"export": "..."}`.
    """

    kind: ClassVar[str] = "model"

    task: str = field(default="classification", kw_only=True)
    inputs: tuple[str, ...] = field(default=("clip_bcthw",), kw_only=True)
    clip: ClipSpec | None = field(default=None, kw_only=True)
    audio: AudioSpec | None = field(default=None, kw_only=True)
    weights: tuple[Weights, ...] = field(default=(), kw_only=True)
    parameters: int | None = field(default=None, kw_only=True)
    gmacs: float | None = field(default=None, kw_only=True)
    layouts: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    limits: Mapping[str, str] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class Family:
    """Many models of another library behind one builder, listed without importing that library.

    Attributes:
        index: import string of a function `() -> Iterable[Model]`; called once per installed version of
            `distribution`, the names it gives are cached.
        distribution: the pip distribution whose version the cached index belongs to.
        summary: one sentence about the family.
    """

    kind: ClassVar[str] = "model"

    index: str
    distribution: str
    summary: str = ""


@dataclass(frozen=True)
class Augmentation(Entry):
    """A change of training clips. Builder: `(*, ...) -> zoo_registry.protocols.Augment`."""

    kind: ClassVar[str] = "augmentation"


@dataclass(frozen=True)
class Loss(Entry):
    """A loss function. Builder: `(*, ...) -> Callable[[prediction, target], scalar Tensor]`."""

    kind: ClassVar[str] = "loss"


@dataclass(frozen=True)
class Compression(Entry):
    """A way to make a model smaller or faster.

    `builder` is the function that applies it: `(model, context, *, ...) -> (model, record)`. `restore` is
    `(model, record) -> model`: given a freshly built (meta device) model and the record, it rebuilds the structure that
    the state dict fits. A record is JSON-able and untrusted: `restore` checks it.

    Attributes:
        restore: import string.
        version: of the record's format.
    """

    kind: ClassVar[str] = "compression"

    restore: str = field(kw_only=True)
    version: int = field(default=1, kw_only=True)


@dataclass(frozen=True)
class Task(Entry):
    """What a model is trained and judged for. Builder: `(*, model: Provided, losses: Provided, ...) -> protocols.Task`.

    Attributes:
        roles: the roles a recipe's `loss` can fill; a recipe with one loss fills the first.
        targets: keys of `Batch.targets` it reads; `value_b|value_bk` where either will do.
        pipeline_tag: what the Hugging Face Hub calls it, such as `video-classification`; None where it has no word.
    """

    kind: ClassVar[str] = "task"

    roles: tuple[str, ...] = field(default=("loss",), kw_only=True)
    targets: tuple[str, ...] = field(default=("label_b",), kw_only=True)
    pipeline_tag: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Source(Entry):
    """Where samples come from. Builder: `(*, ...) -> zoo_registry.protocols.SampleSource`."""

    kind: ClassVar[str] = "source"


@dataclass(frozen=True)
class Recipe(Entry):
    """A recipe that can be run and extended by name. `builder` is `package:path/inside/it.yaml`, read as text."""

    kind: ClassVar[str] = "recipe"


@dataclass(frozen=True)
class Exporter(Entry):
    """A file format of deployed models.

    `builder` writes: `(model, example_inputs, path, *, ...) -> Rounded | None`. Besides the file there may be others,
    whose names begin like its own. `load` reads back: `(path) -> Callable` that takes the same positional inputs and
    returns the model's output as torch tensors.

    What `load` returns may have `metadata`, the JSON-able mapping that the file keeps (None where it keeps none),
    `inputs`, the names of what it takes, and `files`, all it consists of where that is more than the one. `load` may
    take the keywords `device` and `precision` (`fp32` or `bf16`): one without them runs on the CPU, in the numbers that
    the file holds.

    A module of the model with a true attribute `keeps_float` holds numbers that no exporter may round to fewer bits.

    Attributes:
        load: import string.
        suffix: of the file, such as `.onnx`. Of several that a name ends in the longest counts.
        runs: what the author of a file makes this machine run by the file being opened, such as "machine code": such a
            file is opened only with trust. Empty for files that are data.
    """

    kind: ClassVar[str] = "exporter"

    load: str = field(kw_only=True)
    suffix: str = field(kw_only=True)
    runs: str = field(default="", kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """What an exporter returns of a file that is meant to differ from its model, such as one in int8.

    Attributes:
        max_difference: how far it may be apart, in parts of the largest number of the model's answer.
        min_agreement: part of the samples, 0..1, that have to get the same first answer; for tasks with classes.
    """

    max_difference: float
    min_agreement: float


@dataclass(frozen=True)
class Fetcher(Entry):
    """Brings the files behind a URI. Builder: `() -> zoo_registry.protocols.Fetch`. `name` is the URI scheme."""

    kind: ClassVar[str] = "fetcher"


@dataclass(frozen=True)
class Adapter(Entry):
    """Recognises models that another library published. Builder: `() -> zoo_registry.protocols.Recognise`.

    `name` is what that library calls its way of laying out a repository, such as the library's own name. Declared by
    the plugin whose models can take such weights.
    """

    kind: ClassVar[str] = "adapter"


@dataclass(frozen=True)
class Observer(Entry):
    """Watches a run: logging, sounds, dashboards. Builder: `(*, ...) -> zoo_registry.protocols.RunObserver`."""

    kind: ClassVar[str] = "observer"
