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


@dataclass(frozen=True)
class Sample:
    """One example as a source names it; nothing is decoded yet.

    Attributes:
        media: path or URI of the film or picture.
        targets: what is known about it. Class names are strings and become indices (`label_b`), lists of class
            names become multi-hot rows (`label_bk`). `boxes_n4` are corners x1 y1 x2 y2 in 0..1 of the displayed frame.
            `clip_bcthw` is the path of the film that should come out: decoded, placed and cropped like the input clip,
            of which it has to show the same moments, and float 0..1 without mean and std.
            A key whose shape starts with b is stacked over the batch, any other stays a list with one item a sample.
        start, end: span in seconds, None for the whole film.
        key: what a person recognises it by; the path when empty.
    """

    media: str
    targets: Mapping[str, Any] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None
    key: str = ""


class SampleSource(Protocol):
    """What a source's builder returns: samples of one split."""

    samples: Sequence[Sample]
    labels: Sequence[str]
    """Class names in the order of their indices; empty where targets are no classes."""


@dataclass
class Batch:
    """Decoded samples on their way through a step.

    Attributes:
        inputs: what the model takes, in the order it takes them: `clip_bcthw`, `audio_bcn`, ...
        targets: what the task compares with: `label_b` (int64), `label_bk` (float), `clip_bcthw`, `boxes_n4` (a list of
            (n, 4) float tensors in pixels of the clip), ...
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
    """

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The changed batch."""
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
    """Points of named curves. Sums join the points."""

    title: str
    curves: Mapping[str, Sequence[tuple[float, float]]]
    x_axis: str = ""
    y_axis: str = ""

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
    """

    device: torch.device
    example: tuple[Tensor, ...]

    def calibration(self, batches: int) -> Iterator[tuple[Tensor, ...]]:
        """Model inputs from training data, preprocessed as for evaluation."""
        ...

    def evaluate(self, model: Module) -> Mapping[str, float]:
        """The task's metrics on the validation split."""
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
    """

    path: Path
    uri: str


class RunObserver(Protocol):
    """Watches a run. Every method is optional; one that raises is reported once and then left out."""

    def run_start(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        """Before the first step."""

    def step_end(self, step: int, values: Mapping[str, float]) -> None:
        """At every log interval."""

    def epoch_end(self, epoch: int, values: Mapping[str, float]) -> None:
        """After an epoch's validation."""

    def run_end(self, summary: Mapping[str, Any]) -> None:
        """After the last stage."""


__all__ = [
    "PROVIDED", "Augment", "Batch", "BeforeAfter", "CompressionContext", "Fetch", "Fetched",
    "Figure", "FilmStrip", "Matrix", "Metrics", "Objective", "Outputs", "Provided", "Ref", "RunObserver", "Sample",
    "SampleSource", "Series", "Strip", "Task", "is_provided", "select_rows",
]  # fmt: skip
