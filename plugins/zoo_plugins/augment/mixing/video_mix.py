"""A part in space, time or both of another clip in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Generator

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.mixing.cuboid import Cuboid, draw_rectangles, draw_spans
from zoo_plugins.augment.mixing.pairs import Per, draw_pairs
from zoo_plugins.augment.mixing.pasting import check, exchanged
from zoo_plugins.augment.ranges import Alpha
from zoo_registry import Provided, Range
from zoo_registry.protocols import Augment, Batch

Where = Literal["space", "time", "space_time"]

_DIMENSIONS: dict[Where, int] = {"space": 2, "time": 1, "space_time": 3}


@dataclass(frozen=True)
class VideoMix:
    """See `video_mix`; `cutmix` is the one in space."""

    name: str
    where: Where
    alpha: float
    p: float
    per: Per
    num_classes: int | None

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with a part of another clip in each."""
        check(batch, self.name)
        frames, height, width = batch.inputs[CLIP].shape[2:]
        pairs = draw_pairs(len(batch), self.alpha, self.p, self.per, generator)
        sides = [(1 - share) ** (1 / _DIMENSIONS[self.where]) for share in pairs.share_b.tolist()]
        spans = [(0, frames)] * len(batch)
        rectangles = [((0, height), (0, width))] * len(batch)
        if self.where != "time":
            rectangles = draw_rectangles(sides, height, width, generator)
        if self.where != "space":
            spans = draw_spans(sides, frames, generator)
        cuboids = [Cuboid(span, *rectangle) for span, rectangle in zip(spans, rectangles, strict=True)]
        whole = self.where == "time"
        return exchanged(batch, pairs.partners, cuboids, self.num_classes, self.name, whole_frames=whole)


def video_mix(
    *,
    num_classes: Provided[int | None] = None,
    where: Where = "space_time",
    alpha: Alpha = 1.0,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
    per: Per = "sample",
) -> Augment:
    """Put a cuboid of another clip of the batch into each (Yun et al. 2020, "VideoMix").

    The share that is left is from Beta(alpha, alpha); the cuboid has the rest of the volume. In `space` it is a
    rectangle through all frames, as of `cutmix`; in `time` whole frames in a row; in `space_time` each of its three
    sides is the cube root of its volume. Labels are mixed by the exact share of pixels that are left, as `mixup` mixes
    them, and so is sound. Target clips and masks get the same cuboid.

    Args:
        num_classes: K, from the run.
        where: the directions in which the cuboid is smaller than the clip.
        alpha: of the beta distribution.
        p: probability that something is mixed.
        per: `sample` draws a share for every sample, `batch` one for all; the place is each sample's own.

    Raises:
        ParameterError: when used on samples with boxes, without clips, or on class indices without a number of classes.
    """
    return VideoMix("video_mix", where, alpha, p, per, num_classes)
