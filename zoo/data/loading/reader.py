"""Samples to tensors, in a worker process or in the main one. A bad file is an answer, not an exception."""

from __future__ import annotations

import itertools
import math
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.data.clips.clip import Clip, read_views
from zoo.data.clips.placement import Placement
from zoo.data.clips.views import View, evaluation_view
from zoo.data.decode.audio import read_audio
from zoo.data.decode.embedded import at_hand, decodable
from zoo.data.decode.film import Decoder, open_film, undecodable
from zoo.data.loading.draws import augment_seed, clip_draw, frame_draws, substitutes
from zoo.data.loading.plan import Request
from zoo.data.loading.quarantine import BadFile
from zoo.data.loading.watch import Watch
from zoo.data.targets import CLIP, MASK, MEDIA, BadTarget, Shapes, collate, encode, stacked_shapes
from zoo_registry.errors import DataError, Problem, UndecodableMedia, ZooError
from zoo_registry.protocols import Batch, Sample

if TYPE_CHECKING:
    from zoo.data.split import Split
    from zoo_registry.entries import AudioSpec, ClipSpec
    from zoo_registry.protocols import Augment

INPUTS = ("clip_bcthw", "audio_bcn")
"""Keys of `Batch.inputs` that are read from media."""

MOST_SUBSTITUTES = 32
"""Samples that are tried in place of a bad one; where none of them can be read, the data is what is wrong."""

SIMULTANEOUS = 0.01
"""Seconds between two clips that count as the same moment: containers round time stamps to milliseconds."""


@dataclass(frozen=True)
class Answer:
    """What comes back.

    Attributes:
        batch: the samples that could be read; None when there were none.
        bad: index and failure of those that could not, substitutes that failed included.
        error: what ends the run, such as a contradiction in the clip spec.
        crash: file and traceback of a failure nobody foresaw.
        decode: seconds that reading and decoding took.
        augment: seconds that augmentations in the worker took.
    """

    batch: Batch | None = None
    bad: dict[int, BadFile] = field(default_factory=dict)
    error: ZooError | None = None
    crash: str = ""
    decode: float = 0.0
    augment: float = 0.0

    def pin_memory(self) -> Answer:
        """The same in page-locked memory; `torch.utils.data.DataLoader` calls this."""
        return self if self.batch is None else replace(self, batch=self.batch.pin_memory())


@dataclass
class Row:
    """All views of one sample, of each of its copies.

    Attributes:
        sample: that is shown.
        index: its own.
        inputs: for each view of each copy, what the model takes.
        targets: likewise, encoded.
    """

    sample: Sample
    index: int
    inputs: list[dict[str, Tensor]]
    targets: list[dict[str, Any]]


class Reader:
    """Reads samples of a split; `torch.utils.data.DataLoader` takes it for a data set that is asked by `Request`.

    Args:
        split: the samples.
        inputs: which of `INPUTS` to read, in this order.
        clip: what clips look like; needed where `inputs` has one.
        audio: what the sound looks like; needed where `inputs` has it.
        views: clips per sample.
        crops: of every clip in evaluation, 1 or 3; view number `clip * crops + crop` of a sample is that crop of it.
        train: clips are drawn and lie on the canvas, bad files are substituted; else clips are spread evenly and
            cropped to size, bad files are left out.
        seed: of all draws.
        augment: changes of a batch that are made here, in the worker; None for none.
        watch: is told which sample is being read.
        decoder: what decodes films.

    Raises:
        DataError: an input that nothing here can read, or a missing spec.
    """

    def __init__(
        self,
        split: Split,
        *,
        inputs: Sequence[str],
        clip: ClipSpec | None,
        audio: AudioSpec | None,
        views: int,
        crops: int = 1,
        train: bool,
        seed: int,
        augment: Augment | None = None,
        watch: Watch | None = None,
        decoder: Decoder = Decoder(),
    ) -> None:
        for name, spec in (("clip_bcthw", clip), ("audio_bcn", audio)):
            if name in inputs and spec is None:
                raise DataError(
                    f"the model takes {name} but declares nothing about it", hint="its entry needs the spec"
                )
        if "clip_bcthw" not in inputs and len(split) and not set(MEDIA).isdisjoint(split.samples[0].targets):
            raise DataError(
                f"the {split.name} split has target clips, which are read like the input clip; the model takes none",
                hint="choose a model that takes clip_bcthw, or a source without target clips",
            )
        if unknown := [name for name in inputs if name not in INPUTS]:
            raise DataError(f"nothing reads the input {unknown[0]!r}", hint=f"inputs are {', '.join(INPUTS)}")
        self.split, self.inputs, self.clip, self.audio = split, tuple(inputs), clip, audio
        self.views, self.crops, self.train, self.seed = views * crops, crops, train, seed
        self._augment, self._watch, self._decoder = augment, watch or Watch(0), decoder
        self._classes = {label: index for index, label in enumerate(split.labels)}
        self._bad: dict[int, BadFile] = {}

    def __len__(self) -> int:
        return len(self.split.samples)

    def __getitem__(self, request: Request) -> Answer:
        bad: dict[int, BadFile] = {}
        rows: list[Row] = []
        began = time.perf_counter()
        copies = request.copies or (0,) * len(request.indexes)
        for index, drawn in itertools.groupby(zip(request.indexes, copies, strict=True), key=lambda pair: pair[0]):
            try:
                row = self._good_row(index, request.epoch, [copy for _, copy in drawn], bad)
            except ZooError as error:
                return Answer(bad=bad, error=error)
            except Exception:
                name = self.split.samples[index].name
                return Answer(bad=bad, crash=f"while reading {name!r}:\n{traceback.format_exc()}")
            if row is not None:
                rows.append(row)
        return self.answer(rows, bad, time.perf_counter() - began, request.epoch, request.number)

    def answer(self, rows: Sequence[Row], bad: dict[int, BadFile], decode: float, epoch: int, *request: int) -> Answer:
        """Rows as a batch, changed by the worker's augmentations; `request` numbers it within the epoch.

        Where their targets do not fit together, those that are like most others make the batch.
        """
        rows = self._alike(rows, bad)
        if not rows:
            return Answer(None, bad, decode=decode)
        if self.clip is not None and self.clip.native and (error := _sizes_differ(rows, self.split.name)):
            return Answer(bad=bad, error=error)
        batch = _batch(rows, self.inputs, self.views)
        if self._augment is None:
            return Answer(batch, bad, decode=decode)
        began = time.perf_counter()
        generator = torch.Generator().manual_seed(augment_seed(self.seed, epoch, *request))
        try:
            batch = self._augment(batch, generator)
        except ZooError as error:
            return Answer(bad=bad, error=error)
        except Exception:
            return Answer(bad=bad, crash=f"while augmenting in a worker:\n{traceback.format_exc()}")
        return Answer(batch, bad, decode=decode, augment=time.perf_counter() - began)

    def _alike(self, rows: Sequence[Row], bad: dict[int, BadFile]) -> Sequence[Row]:
        """The rows whose targets can be stacked."""
        shapes = [stacked_shapes(row.targets[0]) for row in rows]
        if len(set(shapes)) < 2:
            return rows
        usual = Counter(shapes).most_common(1)[0][0]
        for row, shape in zip(rows, shapes, strict=True):
            if shape != usual:
                told = f"its targets are {_in_words(shape)}, those of others {_in_words(usual)}"
                bad[row.index] = failure(self.split.name, row.sample, undecodable(row.sample.name, told))
        return [row for row, shape in zip(rows, shapes, strict=True) if shape == usual]

    @contextmanager
    def reading(self, index: int) -> Iterator[None]:
        """While this lasts, the main process can see which sample is being read here."""
        self._watch.begin(index)
        try:
            yield
        finally:
            self._watch.end()

    def give_up(self, index: int, reason: str) -> None:
        """Count a sample as one that cannot be read, without trying."""
        sample = self.split.samples[index]
        self._bad[index] = failure(self.split.name, sample, undecodable(sample.name, reason))

    def clip_of(self, index: int, view: int) -> Tensor:
        """The uint8 (C, T, H, W) clip that an evaluation shows as this view of this sample."""
        sample = at_hand(self.split.samples[index])
        return self._clips(sample, [self._evaluated(view)])[0].pixels_cthw

    def _good_row(self, index: int, epoch: int, copies: Sequence[int], bad: dict[int, BadFile]) -> Row | None:
        """The sample, or in training the first of its substitutes that can be read."""
        for candidate in self._candidates(index, epoch):
            if candidate not in self._bad:
                sample = self.split.samples[candidate]
                try:
                    with self.reading(candidate):
                        return self.row(sample, candidate, drawn_for=index, epoch=epoch, copies=copies)
                except UndecodableMedia as error:
                    self._bad[candidate] = failure(self.split.name, sample, error)
            bad[candidate] = self._bad[candidate]
        if self.train and len(self) > MOST_SUBSTITUTES + 1:
            raise DataError(
                [
                    Problem(
                        f"{MOST_SUBSTITUTES + 1} samples of the {self.split.name} split, drawn one after the other, "
                        "cannot be read",
                        hint="is the disk there?",
                    ),
                    *(found.problem() for found in list(bad.values())[:3]),
                ]
            )
        return None

    def _candidates(self, index: int, epoch: int) -> Iterator[int]:
        yield index
        if self.train:
            others = substitutes(len(self), self.seed, epoch, index)[: MOST_SUBSTITUTES + 1]
            yield from (int(other) for other in others if other != index)

    def row(self, sample: Sample, index: int, *, drawn_for: int, epoch: int, copies: Sequence[int] = (0,)) -> Row:
        """All views of a sample, in one pass over its media.

        Args:
            sample: to be read.
            index: its own.
            drawn_for: index of the sample it stands in for, which decides the draws.
            epoch: likewise.
            copies: for each time that it is shown, how often it came before in the epoch; likewise.

        Raises:
            UndecodableMedia: it, its target clip or its mask cannot be read, or a target is none that a batch can hold.
        """
        source, sample = sample, at_hand(sample)
        drawn = [copy * self.views + view for copy in copies for view in range(self.views)]  # copies: further views
        positions = [self._view(drawn_for, view, epoch) for view in drawn]
        inputs: list[dict[str, Tensor]] = [{} for _ in positions]
        placements: list[Placement | None] = [None for _ in positions]
        wanted: list[dict[str, Tensor]] = [{} for _ in positions]
        spans: list[tuple[float, float | None]]
        if "clip_bcthw" in self.inputs:
            clips = self._clips(sample, positions)
            placements = [clip.placement for clip in clips]
            spans = [(clip.start, clip.end) for clip in clips]
            for view, clip in zip(inputs, clips, strict=True):
                view["clip_bcthw"] = clip.pixels_cthw
            if isinstance(sample.targets.get(CLIP), str):
                for view, clip in zip(wanted, self._target_clips(sample, positions, clips), strict=True):
                    view[CLIP] = clip.pixels_cthw
            if isinstance(sample.targets.get(MASK), str):
                for view, mask_thw in zip(wanted, self._masks(sample, positions, clips), strict=True):
                    view[MASK] = mask_thw
        else:  # sound alone begins where its span does
            spans = [(sample.start or 0.0, sample.end)] * len(positions)
        if "audio_bcn" in self.inputs and self.audio is not None:
            for view, (start, end) in zip(inputs, spans, strict=True):
                media = decodable(sample.media)
                view["audio_bcn"] = read_audio(media, self.audio, start=start, end=end, decoder=self._decoder)
        targets = [
            self._encoded(source, decoded, placement) for decoded, placement in zip(wanted, placements, strict=True)
        ]
        return Row(source, index, inputs, targets)

    def _encoded(self, sample: Sample, decoded: dict[str, Tensor], placement: Placement | None) -> dict[str, Any]:
        """The targets as tensors, films among them decoded; one that is odd makes the sample a bad one."""
        targets = {**sample.targets, **decoded}
        if film := next((key for key in MEDIA if isinstance(targets.get(key), str)), None):
            raise undecodable(sample.name, f"its {film} is read like a clip, and the model takes none")
        try:
            return encode(targets, self._classes, placement)
        except BadTarget as error:
            raise undecodable(sample.name, str(error)) from error

    def _view(self, index: int, view: int, epoch: int) -> View:
        if not self.train:
            return self._evaluated(view)
        position, top, left = clip_draw(self.seed, epoch, index, view)
        drawn = self.clip is not None and self.clip.sampling != "dense"
        frames = self.clip.frames if self.clip is not None and drawn else 0
        return View(position, (top, left), within=frame_draws(self.seed, epoch, index, view, frames))

    def _evaluated(self, view: int) -> View:
        sampling = self.clip.sampling if self.clip is not None else "dense"
        return evaluation_view(view, clips=self.views // self.crops, crops=self.crops, sampling=sampling)

    def _clips(self, sample: Sample, views: Sequence[View], clip: ClipSpec | None = None) -> list[Clip]:
        spec = clip or self.clip
        assert spec is not None  # checked when the reader was made
        with open_film(decodable(sample.media), self._decoder) as film:
            return read_views(film, spec, views, start=sample.start, end=sample.end, canvas=self.train)

    def _target_clips(self, sample: Sample, views: Sequence[View], inputs: Sequence[Clip]) -> list[Clip]:
        """The target film, read like the input's; a target that shows something else makes the sample a bad one."""
        media = sample.targets[CLIP]
        try:
            targets = self._clips(replace(sample, media=media), views)
            for source, target in zip(inputs, targets, strict=True):
                _see_alike(source, target, media)
        except UndecodableMedia as error:
            raise undecodable(sample.name, f"its target clip {media}: {error.problems[0].message}") from error
        return targets

    def _masks(self, sample: Sample, views: Sequence[View], inputs: Sequence[Clip]) -> list[Tensor]:
        """The uint8 (T, H, W) classes under every view."""
        assert self.clip is not None
        media = sample.targets[MASK]
        try:
            masks = self._clips(replace(sample, media=media), views, replace(self.clip, interpolation="nearest"))
            for source, mask in zip(inputs, masks, strict=True):
                _see_alike(source, mask, media)
        except UndecodableMedia as error:
            raise undecodable(sample.name, f"its mask {media}: {error.problems[0].message}") from error
        return [mask.pixels_cthw[0] for mask in masks]  # grey: all channels are alike


def _see_alike(source: Clip, target: Clip, media: str) -> None:
    """Both clips show the same moments of films of the same shape."""
    ends = zip((source.start, source.end), (target.start, target.end), strict=True)
    if not all(math.isclose(ours, theirs, abs_tol=SIMULTANEOUS) for ours, theirs in ends):
        shown = f"{target.start:.2f} s to {target.end:.2f} s, the input clip {source.start:.2f} s to {source.end:.2f} s"
        raise undecodable(media, f"it shows {shown}", hint="both films need the same length, and the same rate")
    sizes = zip(source.placement.scaled, target.placement.scaled, strict=True)
    if any(abs(ours - theirs) > 1 for ours, theirs in sizes):  # one pixel of rounding
        raise undecodable(media, "its width and height are in another proportion than the input's")


def _in_words(shapes: Shapes) -> str:
    return ", ".join(f"{key} {shape or 'a number'}" for key, shape in shapes) or "none"


def _sizes_differ(rows: Sequence[Row], split: str) -> DataError | None:
    """What to say where clips that stay as large as their films have several sizes."""
    shapes = {row.sample.name: tuple(view[CLIP].shape[-2:]) for row in rows for view in row.inputs if CLIP in view}
    if len(set(shapes.values())) < 2:
        return None
    shown = ", ".join(f"{name} {height} x {width}" for name, (height, width) in list(shapes.items())[:4])
    return DataError(
        f"films of the {split} split have several sizes, and clips stay as large as they are: {shown}",
        hint=f"write run.batch: 1, or a data.{split}.clip.size, with resize: native to cut it out",
    )


def failure(split: str, sample: Sample, error: UndecodableMedia) -> BadFile:
    """What the quarantine keeps of a sample that cannot be read."""
    trace = "".join(traceback.format_exception(error))
    media = sample.media if isinstance(sample.media, str) else sample.name
    return BadFile(media, error.problems[0].message, split, sample.start, sample.end, trace)


def _batch(rows: Sequence[Row], inputs: Sequence[str], views: int) -> Batch:
    """Rows i * V + v hold view v of sample i; copies of a sample are samples."""
    return Batch(
        inputs={key: torch.stack([view[key] for row in rows for view in row.inputs]) for key in inputs},
        targets=collate([targets for row in rows for targets in row.targets]),
        index=torch.tensor([row.index for row in rows for _ in row.inputs]),
        view=torch.arange(views).repeat(sum(len(row.inputs) for row in rows) // views),
    )
