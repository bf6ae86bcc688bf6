"""What built things must do, and the records that pass between them.

Shapes: B samples, C channels, T frames, H height, W width, N audio samples, K classes, n boxes. Names of tensors carry
their shape. Clips are RGB, `B C T H W`: uint8 0..255 on the way to the device, float after augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor
    from torch.nn import Module, Parameter

    from zoo_registry.entries import ClipSpec

T = TypeVar("T")
E = TypeVar("E")

# --------------------------------------------------------------------------------------- signatures of builders

PROVIDED: Mapping[str, str] = {
    "model": "the built model of the recipe (tasks)",
    "losses": "the built losses by role: `Mapping[str, Callable]`; empty when a model only predicts (tasks)",
    "num_classes": "how many labels the training data, or the weights, have",
    "labels": "their names, in the order of the model's outputs",
    "inputs": "the keys of `Batch.inputs`, in the order the model takes them",
    "clip": "the `ClipSpec` in force: the model's own, with the recipe's `data.clip` over it",
    "audio": "the `AudioSpec` in force, or None",
    "split": "`train`, `val` or `test`: the part of the data that the source is asked for",
    "seed": "the run's seed",
    "cache": "a folder that outlives the run, for what is costly to make again",
    "base": "the folder that relative paths of the recipe start from (sources)",
    "calibration": "`(batches) -> Iterator[tuple[Tensor, ...]]`: model inputs from training data on the CPU; None "
    "without such data (exporters)",
    "metadata": "JSON-able mapping that describes the model, to be kept in the file (exporters)",
    "free_axes": "by the name of an input the axes that may have any length besides the batch, such as `{clip_bcthw: "
    "(3, 4)}` for pictures of any size (exporters)",
}
"""The parameters that a run can provide. A builder asks by the parameter's name; None-able ones may be absent."""


class _ProvidedMarker:
    """Says in a signature that the run provides the value."""


Provided = Annotated[T, _ProvidedMarker()]
"""`num_classes: Provided[int]`: the run provides it; a recipe may repeat it, and must then agree."""


class Ref(Generic[E]):
    """`teacher: Ref[Model]`: the recipe writes `{name, params, weights}`, the builder receives the built object."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102


def is_provided(annotation: Any) -> bool:
    """Whether an annotation of a builder's parameter was written `Provided[...]`."""
    return any(isinstance(extra, _ProvidedMarker) for extra in getattr(annotation, "__metadata__", ()))


# --------------------------------------------------------------------------------------- data


@runtime_checkable
class Embedded(Protocol):
    """Media inside a larger file, such as a member of a tar shard or a cell of a table; read when it is wanted."""

    @property
    def size(self) -> int | None:
        """How many bytes, None where only reading tells."""
        ...

    def read(self) -> bytes:
        """The whole content; called in the process that decodes it.

        Raises:
            OSError: it is no longer there.
        """
        ...


Media = str | bytes | Embedded
"""Where a film or picture is: a path, its content in memory, or a place inside another file."""


@dataclass(frozen=True)
class Sample:
    """One example as a source names it; nothing is decoded yet.

    Attributes:
        media: path of the film or picture; or its content as bytes, or where that lies inside another file
            (`Embedded`), and then `key` is needed.
        targets: what is known about it. Class names are strings and become indices (`label_b`), lists of class
            names become multi-hot rows (`label_bk`), a list of names for each box becomes (n, K) rows (`label_nk`).
            Numbers to be predicted are `value_b`, or `value_bk` where there are several: floats, also when written as
            whole numbers. `boxes_n4` are corners x1 y1 x2 y2 in 0..1 of the displayed frame.
            `clip_bcthw` is the path of the film that should come out: decoded, placed and cropped like the input clip,
            of which it has to show the same moments, and float 0..1 without mean and std. `mask_bthw` is the path of a
            film or picture whose grey values are classes: placed likewise, with the nearest pixel's value.
            A key whose shape starts with b is stacked over the batch, any other stays a list with one item a sample.
        start, end: span in seconds, None for the whole film.
        key: what a person recognises it by; the path when empty.

    Raises:
        ValueError: media that is no path, without a key.
    """

    media: Media
    targets: Mapping[str, Any] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None
    key: str = ""

    def __post_init__(self) -> None:
        if not self.key and not isinstance(self.media, str):
            raise ValueError("media that is no path needs a key, which reports call it by")

    @property
    def name(self) -> str:
        """What a person recognises it by.

        Example:
            >>> Sample("films/a.mp4").name, Sample(b"...", key="shard.tar: 0001.mp4").name
            ('films/a.mp4', 'shard.tar: 0001.mp4')
        """
        return self.key or str(self.media)


class SampleSource(Protocol):
    """What a source's builder returns: samples of one split, any of which can be asked for.

    It may also have `notes`, a sequence of sentences that the user should read before the run, such as how many films
    are missing.
    """

    samples: Sequence[Sample]
    labels: Sequence[str]
    """Class names in the order of their indices, or names of the numbers in `value_b` (one) or `value_bk` (several);
    empty where targets are neither."""


@runtime_checkable
class Overview(Protocol):
    """What `samples` may offer so that nobody has to look at a million of them one by one. All or nothing."""

    def target_keys(self) -> Iterable[tuple[str, ...]]:
        """Every combination of target keys that a sample has; one, as it should be, when all are alike."""
        ...

    def class_names(self) -> Iterable[str]:
        """Every class name in any sample's targets. Classes given as numbers are not allowed here."""
        ...

    def digest(self) -> bytes:
        """Changes with the keys, targets and spans of the samples; not with the folder they lie in."""
        ...


@runtime_checkable
class SampleStream(Protocol):
    """What a source's builder returns where samples come one after the other, such as remote tar shards.

    The loader decides which process reads which shard and in which order, mixes samples in a shuffle buffer, and skips
    what a resumed run has seen. Everything else works as with samples that can be asked for by number, except what
    needs that: balanced sampling, and strips of chosen films in the report.

    Attributes:
        shards: names of the parts, such as URLs; each is read from its beginning to its end.
        labels: class names in the order of their indices; empty where targets are no classes.
        count: samples of an epoch, None where nobody knows; training needs it. An epoch ends there even when the shards
            hold more.
        buffer: samples that each shuffle buffer holds, in memory.
    """

    shards: Sequence[str]
    labels: Sequence[str]
    count: int | None
    buffer: int

    def read(self, shard: int) -> Iterator[Sample]:
        """The samples of a shard, in its order: the same at every call. Called in the process that decodes them.

        Args:
            shard: its number in `shards`.

        Raises:
            ZooError: it cannot be read, or not any further; it is reported and the next shard follows.
        """
        ...


@dataclass
class Batch:
    """Decoded samples on their way through a step.

    Attributes:
        inputs: what the model takes, in the order it takes them: `clip_bcthw`, `audio_bcn`, ...
        targets: what the task compares with: `label_b` (int64), `label_bk` (float), `clip_bcthw`, `boxes_n4` (a list of
            (n, 4) float tensors in pixels of the clip), `mask_bthw` (uint8 or int64, the class of every pixel), ...
        index: (B,) int64, which sample of the split.
        view: (B,) int64, which clip or crop of it.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Any]
    index: Tensor
    view: Tensor

    def __len__(self) -> int:
        return int(self.index.shape[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; `torch.utils.data.DataLoader` calls this."""
        return self._map(lambda tensor: tensor.pin_memory())

    def rows(self, rows: slice) -> Batch:
        """Some of the samples."""
        return Batch(select_rows(self.inputs, rows), select_rows(self.targets, rows), self.index[rows], self.view[rows])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(
            {key: change(value) for key, value in self.inputs.items()},
            {key: _map_tensors(value, change) for key, value in self.targets.items()},
            change(self.index),
            change(self.view),
        )


Outputs = dict[str, Any]
"""What a model said about a batch: names with shapes (`logits_bk`) to tensors, or to lists with one item a sample."""


def select_rows(values: Mapping[str, Any], rows: slice) -> dict[str, Any]:
    """Some of the samples of a batch's inputs, targets or outputs."""
    return {key: value[rows] for key, value in values.items()}


def _map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, list):
        return [_map_tensors(item, change) for item in value]
    return change(value) if hasattr(value, "device") else value


class Augment(Protocol):
    """A change of training batches, on their device.

    Draws parameters per sample from `generator`, the same for every frame of a clip; moves boxes, masks and target
    clips along. Takes clips as uint8 0..255 or float 0..1 and returns either; never changes the batch it was given.

    The generator is always on the CPU: the draws are the same on every device, and Python may read them. What the
    device needs of them goes there with `.to(device, non_blocking=True)`; nothing is read back (`.item()`, `.tolist()`,
    `if tensor`, a mask as an index), which would make every step wait for the device.

    One that can be merged with its neighbours is a `FusibleAugment`.
    """

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The changed batch."""
        ...


@runtime_checkable
class FusibleAugment(Augment, Protocol):
    """An augmentation that can do the work of the next one of the list along with its own.

    Two turns and a crop become one resampling, brightness and saturation one colour matrix: faster, and with one
    rounding instead of several. When a list is built, each augmentation that has this method is asked with the one that
    follows it; what it returns stands for both and is asked with the next.
    """

    def fused(self, following: Augment) -> Augment | None:
        """One augmentation that does both, this one first; None when they have to stay apart.

        It must draw from the generator exactly what the two would, in the same order: the same seed means the same
        parameters, fused or not. What comes out may differ only by interpolations and roundings that fell away, and by
        values that are no longer cut off at black or white in between.

        Args:
            following: the next of the list, of any kind; look whether it is one of your own.
        """
        ...


# --------------------------------------------------------------------------------------- networks


@dataclass(frozen=True)
class Stage:
    """A part of a network, in the order of its forward pass.

    Attributes:
        name: `stem`, `stage1`, `stage2`, ... in a network that narrows down; `stem`, `block1`, `block2`, ... in a
            transformer of one width; the last one is `head`.
        layers: its layers in order, each as the names of submodules and parameters that belong to it; together the
            stages name every parameter of the network once (by itself or by a module above it).
        channels: C of its feature map; None where it gives none (`head`).
        stride: (T, H, W) how many frames and pixels of the clip lie along one cell of that map; None where it gives
            none.
    """

    name: str
    layers: tuple[tuple[str, ...], ...]
    channels: int | None = None
    stride: tuple[int, int, int] | None = None


@runtime_checkable
class StagedNetwork(Protocol):
    """What a model's module offers so that all of the zoo can work with it. All or nothing.

    `stages` brings freezing up to a stage, layer-wise learning rates and folding of input weights; `forward_pyramid`
    brings `features_only`. `forward(x)` is `forward_head(forward_features(x))`.

    It may also have `no_weight_decay()`: names of parameters, such as position tables and class tokens, that a recipe's
    `decay_norms_and_biases: false` spares besides norms and biases.
    """

    def stages(self) -> Sequence[Stage]:
        """The parts of the network; the first one sees the input, the last one is the head."""
        ...

    def forward_features(self, *inputs: Tensor) -> Tensor:
        """What the head gets: a map (B, C, T', H', W'), or tokens (B, N, C)."""
        ...

    def forward_head(self, features: Tensor) -> Tensor:
        """From features to what the network answers."""
        ...

    def forward_pyramid(self, *inputs: Tensor) -> list[Tensor]:
        """The map (B, C, T', H', W') of every stage that has a stride, in order."""
        ...

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training keep only what enters each layer and compute the rest again in the backward pass."""
        ...


@runtime_checkable
class StreamingNetwork(Protocol):
    """What a network of one clip input offers that looks at each frame by itself before it looks over time.

    On a stream windows overlap: with this each frame is looked at once, instead of once in every window that shows it.
    `forward(clip_bcthw)` is `forward_time(forward_frames(clip_bcthw)[0])`.

    Attributes:
        streams: whether this build can; False where its layers look at frames that come later.
    """

    streams: bool

    def forward_frames(self, clip_bcthw: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """What the network sees in each frame.

        A clip in pieces, each given the state that the piece before it returned, gives what the whole clip gives.

        Args:
            clip_bcthw: any number of frames, one `ClipSpec.stride` apart.
            state: what the frames before left; None where there were none.

        Returns:
            Features (B, T, ...), and the state after the last frame: None where frames do not see one another.
        """
        ...

    def forward_time(self, features_bt: Tensor) -> Tensor:
        """From features (B, T, ...) of a clip's frames to what the network answers."""
        ...


# --------------------------------------------------------------------------------------- tasks


@dataclass(frozen=True)
class Objective:
    """Something to minimise, and the parameters that may change for it.

    Attributes:
        name: `main`, `critic`, `generator`, ...; recipes say `optim.per_objective.NAME`.
        parameters: what its optimiser steps; only these require gradients while it runs.
        loss: `(batch, shared) -> {"total": scalar, ...}`; does its own forward passes. `shared` lives for one batch of
            one step and carries detached tensors from one objective to the next.
        every: in accumulation windows; 2 means every second step.
    """

    name: str
    parameters: Sequence[Parameter]
    loss: Callable[[Batch, dict[str, Any]], Mapping[str, Tensor]]
    every: int = 1


class Metrics(Protocol):
    """Running measures over a split."""

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Take in one batch."""

    def compute(self) -> Mapping[str, float]:
        """The measures so far; NaN where nothing was seen."""

    def merge(self, other: Self) -> None:
        """Take in what another has seen of the same split, such as another process; the other stays as it is."""

    def reset(self) -> None:
        """Forget everything."""


@runtime_checkable
class Task(Protocol):
    """What a model is trained and judged for. A task that subclasses this need not say what most tasks have in common.

    Attributes:
        state: everything that learns or is checkpointed, put in train or eval mode; a frozen teacher stays outside.
        views: clips drawn from each training sample (contrastive learning wants 2).
        monitor: the metric that decides what is best, and its direction.
    """

    state: Module
    views: int = 1
    monitor: tuple[str, Literal["max", "min"]]

    def objectives(self) -> Sequence[Objective]:
        """What to minimise, in the order of a step."""
        ...

    def after_step(self, step: int) -> None:
        """Called after every optimiser step: momentum encoders, queues."""

    def result(self) -> Module:
        """What is kept: the student, the generator, the encoder. Evaluated, compressed, exported and published."""
        ...

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        """What `model` says about a preprocessed batch; `model` may be torch, compressed or an exported file."""
        ...

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """One answer from several views; item v holds view v of the same samples in the same order."""
        ...

    def metrics(self) -> Metrics:
        """Fresh, empty measures."""
        ...

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """Pictures of one evaluated batch, by default none; those of one title are added up over the split."""
        return ()

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """One JSON-able row per sample for people: the five likeliest labels, boxes with names, a score."""
        ...


@runtime_checkable
class DegradingTask(Protocol):
    """What a task offers whose model is shown something worse than the data: small, noisy or compressed clips.

    The degradation is a parameter of the task, and everything sees it: training, evaluation, calibration, export.
    """

    def degraded(self, batch: Batch) -> Batch:
        """A preprocessed batch as the model gets it, with what it should come to among the targets.

        Called on the device, once for every batch; a batch that is to be predicted without a comparison is not
        degraded. Never changes the batch it was given.
        """
        ...


# --------------------------------------------------------------------------------------- figures


@dataclass(frozen=True)
class Matrix:
    """Counts by row and column, such as a confusion matrix. Sums add up elementwise."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray
    row_axis: str = ""
    column_axis: str = ""

    def __add__(self, other: Matrix) -> Matrix:
        return replace(self, values=self.values + other.values)


@dataclass(frozen=True)
class Series:
    """Points of named curves, or with `joined` off a scatter plot. Sums put the points together."""

    title: str
    curves: Mapping[str, Sequence[tuple[float, float]]]
    x_axis: str = ""
    y_axis: str = ""
    joined: bool = True

    def __add__(self, other: Series) -> Series:
        names = [*self.curves, *(name for name in other.curves if name not in self.curves)]
        joined = {name: [*self.curves.get(name, ()), *other.curves.get(name, ())] for name in names}
        return replace(self, curves=joined)


@dataclass(frozen=True)
class Strip:
    """One film in a `FilmStrip`: which sample and view, what to write beside it, and its rank (highest is kept)."""

    index: int
    view: int
    caption: str
    score: float


@dataclass(frozen=True)
class FilmStrip:
    """Films shown as rows of frames. Sums keep the `keep` highest-ranked."""

    title: str
    strips: tuple[Strip, ...]
    keep: int = 8

    def __add__(self, other: FilmStrip) -> FilmStrip:
        ranked = sorted((*self.strips, *other.strips), key=lambda strip: (-strip.score, strip.index, strip.view))
        return replace(self, strips=tuple(ranked[: self.keep]))


@dataclass(frozen=True)
class BeforeAfter:
    """Pictures side by side: rows of (H, W, 3) uint8 images under `columns`. Sums keep the first `keep` rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[np.ndarray, ...], ...]
    keep: int = 8

    def __add__(self, other: BeforeAfter) -> BeforeAfter:
        return replace(self, rows=(*self.rows, *other.rows)[: self.keep])


Figure = Matrix | Series | FilmStrip | BeforeAfter


# --------------------------------------------------------------------------------------- compression, stores, watchers


class CompressionContext(Protocol):
    """What a strategy may use while it is applied.

    Attributes:
        device: where the model is.
        example: inputs of one preprocessed batch, in the order the model takes them.
        original: the model before the first strategy, in eval mode; it is not changed.
        monitor: the metric that decides what is best, and its direction.
    """

    device: torch.device
    example: tuple[Tensor, ...]
    original: Module
    monitor: tuple[str, Literal["max", "min"]]

    def calibration(self, batches: int) -> Iterator[tuple[Tensor, ...]]:
        """Model inputs from training data, preprocessed as for evaluation; the same ones at every call.

        Raises:
            RunError: the recipe has no training data.
        """
        ...

    def losses(self, model: Module, batches: int) -> Iterator[Tensor]:
        """The task's loss of a model on training batches, a scalar each, to be backpropagated by the caller.

        Raises:
            RunError: the recipe has no training data, or the task has several objectives.
        """
        ...

    def evaluate(self, model: Module) -> Mapping[str, float]:
        """The task's metrics on the validation split."""
        ...

    def score(self, model: Module) -> float:
        """The monitored metric on the validation split, such that more is better: negated where the least is best.

        Raises:
            RunError: the recipe has no validation data.
        """
        ...

    def gmacs(self, model: Module) -> float:
        """Billions of multiply-adds of one forward pass over one sample of `example`."""
        ...

    def latency_ms(self, model: Module) -> float:
        """Median time of one sample on the device, in milliseconds."""
        ...

    def train(
        self,
        model: Module,
        *,
        epochs: int,
        lr: float,
        batches: int | None = None,
        loss: Callable[[Batch, Callable[[], Tensor]], Tensor] | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        """Train a model further, in place, as the recipe trains: task, data, augmentation, optimiser and precision.

        With validation data it is left as it was best, before the first epoch included. In eval mode afterwards.

        Args:
            model: any module that takes and returns what the model of the recipe does.
            epochs: passes over the training data.
            lr: learning rate at the start; a cosine takes it to zero.
            batches: of an epoch; None for all.
            loss: `(batch, task_loss) -> scalar`, what to minimise for a preprocessed batch; `task_loss()` computes the
                task's own loss. None for that alone.
            after_step: called after every step of the optimiser, such as to set pruned weights back to zero.

        Raises:
            RunError: the recipe has no training data or loss, or the task has several objectives.
        """
        ...


class Fetch(Protocol):
    """Brings the files of a model folder (or one file) from where a URI points."""

    def __call__(self, uri: str, *, files: Iterable[str] | None = None) -> Fetched:
        """Fetch all files, or the named ones, verify them and return where they are."""
        ...


@dataclass(frozen=True)
class Fetched:
    """What a fetcher brought.

    Attributes:
        path: local folder, or file.
        uri: the same thing pinned: the commit instead of the branch.
        immutable: whether these files are replaced and never written to, so that their bytes may be read later.
    """

    path: Path
    uri: str
    immutable: bool = False


class Recognise(Protocol):
    """Says which model of the catalogue a repository of another library holds."""

    def __call__(self, described: Mapping[str, Mapping[str, Any]]) -> Recognised | None:
        """Look at what describes the model, none of which can be trusted.

        Args:
            described: by name of the file `config.json`, `preprocessor_config.json` and the head of `README.md`; those
                that are not there, or cannot be read, are empty.

        Returns:
            None for what this library did not write.

        Raises:
            ParameterError: this library wrote it, but the catalogue has no model like it; says what is not there.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What a repository of another library holds.

    Attributes:
        model: qualified name in the catalogue.
        params: of its builder.
        convert: `(state: Mapping[str, Tensor], module) -> Mapping[str, Tensor]` from the library's keys to the
            module's; may raise a ParameterError where the module differs from what was published.
        num_classes: outputs of the head; None where the weights have none.
        labels: names of the classes, in the order of the outputs.
        clip: what the weights want to see; None for the model's own.
    """

    model: str
    params: Mapping[str, Any] = field(default_factory=dict)
    convert: Callable[[Mapping[str, Any], Any], Mapping[str, Any]] | None = None
    num_classes: int | None = None
    labels: tuple[str, ...] = ()
    clip: ClipSpec | None = None


class RunObserver(Protocol):
    """Watches a run. Every method is optional; one that raises is reported once and then left out."""

    def run_start(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        """Before the first step."""

    def batch_ready(self, step: int, batch: Batch) -> None:
        """Before the first step of an epoch: its first batch, augmented, with clips as uint8 0..255 or float 0..1.

        On the device; `step` is the number of steps done. What is changed in it is learnt.
        """

    def step_end(self, step: int, values: Mapping[str, float]) -> None:
        """At every log interval."""

    def gradients_ready(self, step: int, parameters: Mapping[str, Parameter]) -> None:
        """At every log interval: the task's parameters by name, after the step, with the gradients it was taken by.

        On the device: reading values makes the step wait for it. One that learnt nothing in the step has no gradient.
        """

    def epoch_end(self, epoch: int, values: Mapping[str, float]) -> None:
        """After an epoch's validation."""

    def run_end(self, summary: Mapping[str, Any]) -> None:
        """After the last stage."""


__all__ = [
    "PROVIDED", "Augment", "Batch", "BeforeAfter", "CompressionContext", "DegradingTask", "Embedded", "Fetch",
    "Fetched", "Figure", "FilmStrip", "FusibleAugment", "Matrix", "Media", "Metrics", "Objective", "Outputs",
    "Overview", "Provided", "Recognise", "Recognised", "Ref", "RunObserver", "Sample", "SampleSource", "SampleStream",
    "Series", "Stage", "StagedNetwork", "StreamingNetwork", "Strip", "Task",
    "is_provided", "select_rows",
]  # fmt: skip
