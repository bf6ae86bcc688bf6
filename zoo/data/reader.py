"""Samples to tensors, in a worker process or in the main one. A bad file is an answer, not an exception."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.data.audio import read_audio
from zoo.data.clip import Clip, View, read_views, view_position
from zoo.data.draws import clip_draw, substitutes
from zoo.data.film import open_film, undecodable
from zoo.data.placement import Placement
from zoo.data.quarantine import BadFile
from zoo.data.targets import CLIP, collate, encode
from zoo_registry.errors import DataError, UndecodableMedia, ZooError
from zoo_registry.protocols import Batch, Sample

if TYPE_CHECKING:
    from zoo.data.split import Split
    from zoo_registry.entries import AudioSpec, ClipSpec

INPUTS = ("clip_bcthw", "audio_bcn")
"""Keys of `Batch.inputs` that are read from media."""

SIMULTANEOUS = 0.01
"""Seconds between two clips that count as the same moment: containers round time stamps to milliseconds."""


@dataclass(frozen=True)
class Request:
    """What a loader asks for: some samples of one epoch, by index."""

    epoch: int
    indexes: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """What comes back.

    Attributes:
        batch: the samples that could be read; None when there were none.
        bad: index and failure of those that could not, substitutes that failed included.
        error: what ends the run, such as a contradiction in the clip spec.
        crash: file and traceback of a failure nobody foresaw.
    """

    batch: Batch | None = None
    bad: dict[int, BadFile] = field(default_factory=dict)
    error: ZooError | None = None
    crash: str = ""

    def pin_memory(self) -> Answer:
        """The same in page-locked memory; `torch.utils.data.DataLoader` calls this."""
        return self if self.batch is None else replace(self, batch=self.batch.pin_memory())


@dataclass
class _Row:
    """All views of one sample."""

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
        train: clips are drawn and lie on the canvas, bad files are substituted; else clips are spread evenly and
            cropped to size, bad files are left out.
        seed: of all draws.

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
        train: bool,
        seed: int,
    ) -> None:
        for name, spec in (("clip_bcthw", clip), ("audio_bcn", audio)):
            if name in inputs and spec is None:
                raise DataError(
                    f"the model takes {name} but declares nothing about it", hint="its entry needs the spec"
                )
        if "clip_bcthw" not in inputs and len(split) and CLIP in split.samples[0].targets:
            raise DataError(
                f"the {split.name} split has target clips, which are read like the input clip; the model takes none",
                hint="choose a model that takes clip_bcthw, or a source without target clips",
            )
        if unknown := [name for name in inputs if name not in INPUTS]:
            raise DataError(f"nothing reads the input {unknown[0]!r}", hint=f"inputs are {', '.join(INPUTS)}")
        self.split, self.inputs, self.clip, self.audio = split, tuple(inputs), clip, audio
        self.views, self.train, self.seed = views, train, seed
        self._classes = {label: index for index, label in enumerate(split.labels)}
        self._bad: dict[int, BadFile] = {}

    def __len__(self) -> int:
        return len(self.split.samples)

    def __getitem__(self, request: Request) -> Answer:
        bad: dict[int, BadFile] = {}
        rows: list[_Row] = []
        for index in request.indexes:
            sample = self.split.samples[index]
            try:
                row = self._good_row(index, request.epoch, bad)
            except ZooError as error:
                return Answer(bad=bad, error=error)
            except Exception:
                return Answer(bad=bad, crash=f"while reading {sample.media!r}:\n{traceback.format_exc()}")
            if row is not None:
                rows.append(row)
        return Answer(_batch(rows, self.inputs, self.views) if rows else None, bad)

    def clip_of(self, index: int, view: int) -> Tensor:
        """The uint8 (C, T, H, W) clip that an evaluation shows as this view of this sample."""
        return self._clips(self.split.samples[index], [View(view_position(view, self.views))])[0].pixels_cthw

    def _good_row(self, index: int, epoch: int, bad: dict[int, BadFile]) -> _Row | None:
        """The sample, or in training the first of its substitutes that can be read."""
        for candidate in self._candidates(index, epoch):
            if candidate not in self._bad:
                try:
                    return self._row(candidate, index, epoch)
                except UndecodableMedia as error:
                    self._bad[candidate] = _failure(self.split, candidate, error)
            bad[candidate] = self._bad[candidate]
        return None

    def _candidates(self, index: int, epoch: int) -> Iterator[int]:
        yield index
        if self.train:
            yield from (int(other) for other in substitutes(len(self), self.seed, epoch, index) if other != index)

    def _row(self, index: int, drawn_for: int, epoch: int) -> _Row:
        """All views of a sample; the draws are those of the sample it stands in for."""
        sample = self.split.samples[index]
        positions = [self._view(drawn_for, view, epoch) for view in range(self.views)]
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
                wanted = [{CLIP: clip.pixels_cthw} for clip in self._target_clips(sample, positions, clips)]
        else:  # sound alone begins where its span does
            spans = [(sample.start or 0.0, sample.end)] * len(positions)
        if "audio_bcn" in self.inputs and self.audio is not None:
            for view, (start, end) in zip(inputs, spans, strict=True):
                view["audio_bcn"] = read_audio(sample.media, self.audio, start=start, end=end)
        targets = [
            encode({**sample.targets, **decoded}, self._classes, placement)
            for decoded, placement in zip(wanted, placements, strict=True)
        ]
        return _Row(index, inputs, targets)

    def _view(self, index: int, view: int, epoch: int) -> View:
        if not self.train:
            return View(view_position(view, self.views))
        position, top, left = clip_draw(self.seed, epoch, index, view)
        return View(position, (top, left))

    def _clips(self, sample: Sample, views: Sequence[View]) -> list[Clip]:
        assert self.clip is not None  # checked when the reader was made
        with open_film(sample.media) as film:
            return read_views(film, self.clip, views, start=sample.start, end=sample.end, canvas=self.train)

    def _target_clips(self, sample: Sample, views: Sequence[View], inputs: Sequence[Clip]) -> list[Clip]:
        """The target film, read like the input's; a target that shows something else makes the sample a bad one."""
        media = sample.targets[CLIP]
        try:
            targets = self._clips(replace(sample, media=media), views)
            for source, target in zip(inputs, targets, strict=True):
                _see_alike(source, target, media)
        except UndecodableMedia as error:
            raise undecodable(sample.media, f"its target clip {media}: {error.problems[0].message}") from error
        return targets


def _see_alike(source: Clip, target: Clip, media: str) -> None:
    """Both clips show the same moments of films of the same shape."""
    ends = zip((source.start, source.end), (target.start, target.end), strict=True)
    if not all(math.isclose(ours, theirs, abs_tol=SIMULTANEOUS) for ours, theirs in ends):
        shown = f"{target.start:.2f} s to {target.end:.2f} s, the input clip {source.start:.2f} s to {source.end:.2f} s"
        raise undecodable(media, f"it shows {shown}", hint="both films need the same length, and the same rate")
    sizes = zip(source.placement.scaled, target.placement.scaled, strict=True)
    if any(abs(ours - theirs) > 1 for ours, theirs in sizes):  # one pixel of rounding
        raise undecodable(media, "its width and height are in another proportion than the input's")


def _failure(split: Split, index: int, error: UndecodableMedia) -> BadFile:
    sample = split.samples[index]
    trace = "".join(traceback.format_exception(error))
    return BadFile(sample.media, error.problems[0].message, split.name, sample.start, sample.end, trace)


def _batch(rows: Sequence[_Row], inputs: Sequence[str], views: int) -> Batch:
    """Rows i * V + v hold view v of sample i."""
    return Batch(
        inputs={key: torch.stack([view[key] for row in rows for view in row.inputs]) for key in inputs},
        targets=collate([targets for row in rows for targets in row.targets]),
        index=torch.tensor([row.index for row in rows]).repeat_interleave(views),
        view=torch.arange(views).repeat(len(rows)),
    )
