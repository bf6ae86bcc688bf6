"""Which frames make a clip: a span of film cut into slots of one frame each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.data.film import Film, undecodable

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
        begin, stop = start or 0.0, timeline.seconds if end is None else min(end, timeline.seconds)
        if begin < 0 or stop <= begin:
            asked = f"from {begin:g} s to " + ("its end" if end is None else f"{end:g} s")
            raise undecodable(film.path, f"there is nothing {asked}, it lasts {timeline.seconds:.2f} s")
        rate = fps or timeline.fps
        count = max(1, round((stop - begin) * rate))
        return cls(timeline.origin + begin, begin, rate, count, delay=0.5 / max(rate, timeline.fps))

    def choose(self, clip: ClipSpec, position: float) -> list[int]:
        """The slots of the clip at `position` in 0..1; where the span is too short its last one is repeated.

        Example:
            >>> from zoo_registry import ClipSpec
            >>> slots = Slots(origin=0, begin=0, fps=25, count=10, delay=0.02)
            >>> slots.choose(ClipSpec(frames=3, stride=2, size=8), position=1.0)
            [5, 7, 9]
        """
        room = self.count - ((clip.frames - 1) * clip.stride + 1)
        first = round(min(max(position, 0.0), 1.0) * max(0, room))
        return [min(first + step * clip.stride, self.count - 1) for step in range(clip.frames)]

    def time(self, slot: int) -> float:
        """When to look, in seconds on the stream's clock."""
        return self.origin + slot / self.fps + self.delay

    def seconds(self, slots: Sequence[int]) -> tuple[float, float]:
        """From the start of the first to the end of the last, in seconds from the film's first frame."""
        return self.begin + slots[0] / self.fps, self.begin + (slots[-1] + 1) / self.fps


def overlapping_runs(clips: Sequence[Sequence[int]]) -> list[list[int]]:
    """Ascending slots to decode in one go: clips that overlap in time share a pass.

    Example:
        >>> overlapping_runs([[0, 2, 4], [3, 5, 7], [90, 92]])
        [[0, 2, 3, 4, 5, 7], [90, 92]]
    """
    runs: list[list[int]] = []
    for clip in sorted(clips, key=lambda slots: slots[0]):
        if runs and clip[0] <= runs[-1][-1]:
            runs[-1] = sorted({*runs[-1], *clip})
        else:
            runs.append(sorted(set(clip)))
    return runs
