"""Which frames of a stream make which window: slots of equal length, counted from its first frame.

As in `zoo.data.clips.slots`, a slot lasts `1 / rate` seconds and shows what is on display half a frame after it begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo_registry.entries import ClipSpec

SLIDE_SECONDS = 1 / 3
"""By how much windows slide at least, where nobody says."""

SEGMENTS_SECONDS = 4.0
"""How long a window is where frames are spread over it (`sampling: segments`), and nobody says."""


@dataclass(frozen=True)
class Wanted:
    """What a model wants to see of a stream.

    Attributes:
        clip: its clip spec.
        slide: from window to window, in frames (at `clip.fps` when given); None for the least multiple of the stride
            that lasts a third of a second, so that every window has new frames and shares the others.
        factor: how many times as far windows slide, because answers were late.
        window: seconds of a window whose frames are spread over it; None for 4.
    """

    clip: ClipSpec
    slide: int | None = None
    factor: int = 1
    window: float | None = None


@dataclass(frozen=True)
class Plan:
    """The same for a source of known rate, in slots.

    Attributes:
        wanted: what it was made of.
        rate: slots per second.
        delay: seconds after its beginning at which a slot is looked at.
        between: from one frame of a window to the next.
        slide: from one window to the next; windows begin at multiples of it.
    """

    wanted: Wanted
    rate: float
    delay: float
    between: int
    slide: int

    @classmethod
    def of(cls, wanted: Wanted, fps: float) -> Plan:
        """The plan for a source of so many frames per second.

        Example:
            >>> from zoo_registry import ClipSpec
            >>> plan = Plan.of(Wanted(ClipSpec(frames=4, stride=12, fps=30, size=160), slide=8), fps=25)
            >>> plan.rate, plan.between, plan.slide, plan.every, plan.span
            (30, 12, 8, 4, 37)
        """
        clip = wanted.clip
        rate = clip.fps or fps
        between = clip.stride
        if clip.sampling != "dense":
            seconds = wanted.window or SEGMENTS_SECONDS
            between = max(1, round(seconds * rate / clip.frames))
        slide = wanted.slide or between * max(1, math.ceil(SLIDE_SECONDS * rate / between))
        return cls(wanted, rate, 0.5 / max(rate, fps), between, slide * wanted.factor)

    @property
    def every(self) -> int:
        """Slots that are multiples of this can be part of a window."""
        return math.gcd(self.between, self.slide)

    @property
    def span(self) -> int:
        """Slots from the first frame of a window to its last, both counted."""
        return (self.wanted.clip.frames - 1) * self.between + 1

    def look(self, slot: int) -> float:
        """When to look at a slot, in seconds from the first frame."""
        return slot / self.rate + self.delay

    def after(self, seconds: float) -> int:
        """The first slot that can be part of a window and is looked at then or later."""
        return self.every * max(0, math.ceil((seconds - self.delay) * self.rate / self.every))

    def ending_at(self, slot: int) -> Sequence[int]:
        """The slots of the window whose last frame this is; empty where none ends there."""
        start = slot - self.span + 1
        return range(start, slot + 1, self.between) if start >= 0 and start % self.slide == 0 else ()

    def seconds(self, slots: Sequence[int]) -> tuple[float, float]:
        """From the start of the first to the end of the last, in seconds from the first frame."""
        return slots[0] / self.rate, (slots[-1] + 1) / self.rate

    def __str__(self) -> str:
        clip = self.wanted.clip
        height, width = clip.height_width
        return (
            f"windows of {clip.frames} frames over {self.span / self.rate:.2f} s, {height}x{width}, "
            f"every {self.slide} frames ({self.slide / self.rate:.2f} s)"
        )
