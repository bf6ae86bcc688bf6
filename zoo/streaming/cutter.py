"""Cuts a stream into windows that overlap: each frame that one of them shows is scaled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.data.clips.views import View, placement_of
from zoo.data.decode.conversion import rgb_picture, seen_through
from zoo.data.decode.orientation import Orientation
from zoo.streaming.windows import Window

if TYPE_CHECKING:
    from av import VideoFrame
    from torch import Tensor

    from zoo.data.clips.placement import Placement
    from zoo.streaming.plan import Plan
    from zoo_registry.entries import ClipSpec


class Cutter:
    """Makes windows of one unbroken stretch of a stream. It keeps the frames that windows to come will show.

    Args:
        plan: which frames make which window.
        begin: when the stretch begins, in seconds from the first frame of the stream.
        run: its number.
    """

    def __init__(self, plan: Plan, begin: float, run: int) -> None:
        self.plan = plan
        self._run = run
        self._next = self._first = plan.after(begin)
        self._kept: dict[int, Tensor] = {}
        self._shown: VideoFrame | None = None
        self._scale = Scale(plan.wanted.clip)

    def slide_by(self, plan: Plan) -> None:
        """Make windows of the same frames at other distances; those that frames are missing for are left out."""
        self.plan = plan
        self._next = -(-self._next // plan.every) * plan.every

    def until(self, now: float) -> list[int]:
        """Slots that are looked at before a moment and not yet filled: what is on display fills them."""
        if self._shown is None:
            return []
        slots = []
        while self.plan.look(self._next) < now:
            slots.append(self._next)
            self._next += self.plan.every
        return slots

    def rest(self) -> list[int]:
        """Slots of the first window that a film shorter than one leaves open; its last frame fills them."""
        start = -(-self._first // self.plan.slide) * self.plan.slide
        return self.until(self.plan.look(start + self.plan.span))

    def display(self, frame: VideoFrame) -> None:
        """From now on this frame is on display."""
        self._shown = frame

    def window(self, slot: int, due: float) -> Window | None:
        """Fill a slot; the window that it completes, if there is one."""
        assert self._shown is not None
        self._kept[slot] = self._scale(self._shown)
        for old in [kept for kept in self._kept if kept <= slot - self.plan.span]:
            del self._kept[old]
        slots = self.plan.ending_at(slot)
        if not slots or not all(each in self._kept for each in slots):
            return None
        frames = tuple(self._kept[each] for each in slots)
        return Window(self.plan, self._run, tuple(slots), frames, self._scale.placement, *self.plan.seconds(slots), due)


class Scale:
    """Frames as a clip shows them; they may change their size on the way.

    Attributes:
        placement: where the last one lies in the clip.
    """

    placement: Placement

    def __init__(self, clip: ClipSpec) -> None:
        self._clip = clip
        self._last: tuple[VideoFrame, Tensor] | None = None

    def __call__(self, frame: VideoFrame) -> Tensor:
        """uint8 (3, 1, H, W); the same for the same frame."""
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        orientation = Orientation.of(frame)
        displayed = orientation.exchange(frame.height, frame.width)
        self.placement = placement_of(self._clip, False, *displayed, View())
        picture = rgb_picture(frame, orientation, self.placement.scaled, self._clip.interpolation)
        frame_cthw = seen_through(self.placement, [picture])
        self._last = frame, frame_cthw
        return frame_cthw
