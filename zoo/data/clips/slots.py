"""Which frames make a clip: a span of film cut into slots of one frame each, or its keyframes.

`ClipSpec.sampling` says how slots are chosen: next to each other (dense), one from each of equal segments, or one
keyframe from each of equal shares of the span's keyframes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.data.decode.film import Film, undecodable
from zoo.data.decode.keyframe_times import keyframe_stamps

if TYPE_CHECKING:
    from zoo_registry.entries import ClipSpec


@dataclass(frozen=True)
class Slots:
    """A span cut into `count` slots of `1 / fps` seconds.

    Attributes:
        origin: when the span begins, in seconds on the stream's own clock.
        begin: the same, in seconds from the film's first frame.
        fps: slots per second: the film's own rate, or the one it is resampled to.
        count: how many there are, at least one.
        delay: how long after its beginning a slot is looked at: half a frame of the faster rate, so that rounded time
            stamps do no harm.
    """

    origin: float
    begin: float
    fps: float
    count: int
    delay: float

    @classmethod
    def of(cls, film: Film, fps: float | None, start: float | None, end: float | None) -> Slots:
        """Cut the span between `start` and `end`, in seconds from the first frame.

        Raises:
            UndecodableMedia: the film has nothing in that span.
        """
        timeline = film.timeline
        begin, stop = span_within(film, start, end)
        rate = fps or timeline.fps
        count = max(1, round((stop - begin) * rate))
        return cls(timeline.origin + begin, begin, rate, count, delay=0.5 / max(rate, timeline.fps))

    def choose(self, clip: ClipSpec, position: float, within: Sequence[float] = ()) -> list[int]:
        """The slots of the clip at `position`; where the span is too short slots are repeated.

        Args:
            clip: frames, stride and sampling.
            position: in 0..1. Dense: 0 is the earliest clip that fits, 1 the latest. Else: where in its segment each
                frame lies.
            within: in 0..1 for each frame, the same drawn frame by frame; it takes the place of `position` where
                frames are not dense.

        Example:
            >>> from zoo_registry import ClipSpec
            >>> slots = Slots(origin=0, begin=0, fps=25, count=10, delay=0.02)
            >>> slots.choose(ClipSpec(frames=3, stride=2, size=8), position=1.0)
            [5, 7, 9]
            >>> slots.choose(ClipSpec(frames=3, size=8, sampling="segments"), position=0.5)
            [1, 5, 8]
        """
        if clip.sampling != "dense":
            return segments(self.count, clip.frames, within or (position,) * clip.frames)
        room = self.count - ((clip.frames - 1) * clip.stride + 1)
        first = round(min(max(position, 0.0), 1.0) * max(0, room))
        return [min(first + step * clip.stride, self.count - 1) for step in range(clip.frames)]

    def time(self, slot: int) -> float:
        """When to look, in seconds on the stream's clock."""
        return self.origin + slot / self.fps + self.delay

    def seconds(self, slots: Sequence[int]) -> tuple[float, float]:
        """From the start of the first to the end of the last, in seconds from the film's first frame."""
        return self.begin + slots[0] / self.fps, self.begin + (slots[-1] + 1) / self.fps


@dataclass(frozen=True)
class KeyframeSlots:
    """The keyframes of a span, each a slot; they can be decoded without any other frame.

    Attributes:
        origin: when the film's first frame is displayed, in seconds on the stream's own clock.
        stamps: when each of them is displayed, on that clock; ascending, at least one.
        fps: the film's own rate.
        delay: how long after its beginning a slot is looked at: half a tick of the stream's clock.
    """

    origin: float
    stamps: tuple[float, ...]
    fps: float
    delay: float

    @classmethod
    def of(
        cls, film: Film, start: float | None, end: float | None, stamps: Sequence[float] | None = None
    ) -> KeyframeSlots:
        """The keyframes displayed from `start` until before `end`; the frame at `start` where there is none.

        Args:
            film: open.
            start: of the span, in seconds from the first frame.
            end: of the span.
            stamps: of the film's keyframes, where they are known; else its packets are read once.

        Raises:
            UndecodableMedia: the film has nothing in that span.
        """
        begin, stop = span_within(film, start, end)
        origin, fps = film.timeline.origin, film.timeline.fps
        delay = 0.5 * float(film.video.time_base or 1 / fps)
        known = keyframe_stamps(film) if stamps is None else stamps
        inside = tuple(at for at in known if begin - delay <= at - origin < stop - delay)
        return cls(origin, inside or (origin + begin,), fps, delay)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.stamps)

    def choose(self, clip: ClipSpec, position: float, within: Sequence[float] = ()) -> list[int]:
        """One keyframe from each of `clip.frames` equal shares, as `Slots.choose` takes frames from segments.

        Example:
            >>> from zoo_registry import ClipSpec
            >>> slots = KeyframeSlots(origin=0, stamps=(0.0, 2.0, 4.0, 6.0), fps=25, delay=0.001)
            >>> slots.choose(ClipSpec(frames=2, size=8, sampling="keyframes"), position=0.5)
            [1, 3]
        """
        return segments(self.count, clip.frames, within or (position,) * clip.frames)

    def time(self, slot: int) -> float:
        """When to look, in seconds on the stream's clock."""
        return self.stamps[slot] + self.delay

    def seconds(self, slots: Sequence[int]) -> tuple[float, float]:
        """From the first keyframe to the end of the last, in seconds from the film's first frame."""
        return self.stamps[slots[0]] - self.origin, self.stamps[slots[-1]] - self.origin + 1 / self.fps


def slots_of(
    film: Film, clip: ClipSpec, start: float | None, end: float | None, stamps: Sequence[float] | None = None
) -> Slots | KeyframeSlots:
    """What a clip's frames are chosen from, as its `sampling` says.

    Args:
        film: open; for keyframes its packets are read once.
        clip: sampling and fps.
        start: of the span, in seconds from the first frame; None for the film's beginning.
        end: of the span; None for the film's end.
        stamps: of the film's keyframes, where they are known.

    Raises:
        UndecodableMedia: the film has nothing in that span.
    """
    if clip.sampling == "keyframes":
        return KeyframeSlots.of(film, start, end, stamps)
    return Slots.of(film, clip.fps, start, end)


def span_within(film: Film, start: float | None, end: float | None) -> tuple[float, float]:
    """The part of a span that the film has, in seconds from its first frame.

    Raises:
        UndecodableMedia: it has nothing of it.
    """
    lasts = film.timeline.seconds
    begin, stop = start or 0.0, lasts if end is None else min(end, lasts)
    if not (begin >= 0 and stop > begin):  # also where one of them is no number
        asked = f"from {begin:g} s to " + ("its end" if end is None else f"{end:g} s")
        raise undecodable(film.path, f"there is nothing {asked}, it lasts {lasts:.2f} s")
    return begin, stop


def segments(count: int, frames: int, within: Sequence[float]) -> list[int]:
    """One of `count` from each of `frames` equal segments: number i is floor((i + within[i]) * count / frames).

    With 0.5 everywhere these are the middles of Temporal Segment Networks (Wang et al. 2016, section 3.1, as its code
    and MMAction2 round them in testing). With random numbers every one of the `count` is equally likely, also where
    the segments are no whole number long and where there are fewer than `frames` of them.

    Args:
        count: how many there are to choose from.
        frames: how many are chosen; some twice where there are more of them than `count`.
        within: in 0..1 for each frame, where in its segment it lies.

    Example:
        >>> segments(100, 4, [0.5] * 4)
        [12, 37, 62, 87]
        >>> segments(2, 4, [0.5] * 4)
        [0, 0, 1, 1]
    """
    length = count / frames
    # 1.0, the end of a segment, still belongs to it.
    return [min(math.floor((at + part) * length), math.ceil((at + 1) * length) - 1) for at, part in enumerate(within)]
