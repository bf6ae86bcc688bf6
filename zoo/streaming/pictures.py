"""The thread that shows a stream: frames with the newest answer drawn in, to a film and a window."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from av.video.reformatter import VideoReformatter

from zoo.data.decode.orientation import Orientation
from zoo.streaming.overlay import Caption, Overlay

if TYPE_CHECKING:
    from av import VideoFrame

MOST_WAITING = 8
"""Frames between the source and what shows them."""


class Sink(Protocol):
    """Where pictures go."""

    def write(self, seconds: float, frame_hwc: np.ndarray) -> None:
        """Take a frame, uint8 (H, W, 3), RGB, displayed at this time of the stream."""

    def close(self) -> None:
        """No more follow."""


class Pictures(threading.Thread):
    """Draws and hands on, in a thread of its own, so that no answer waits for an encoder.

    Args:
        sinks: where pictures go.
        wait: let the source wait when pictures are slower; else frames are left out.

    Attributes:
        caption: the newest answer; whoever answers sets it.
        unwritten: frames that were left out.
        error: what ended the thread, None where it is well.
    """

    def __init__(self, sinks: Sequence[Sink], *, wait: bool) -> None:
        super().__init__(name="pictures", daemon=True)
        self.caption = Caption()
        self.unwritten = 0
        self.error: BaseException | None = None
        self._sinks, self._wait = sinks, wait
        self._waiting: deque[tuple[float, VideoFrame]] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def show(self, seconds: float, frame: VideoFrame) -> None:
        """Take a frame of the source; called in the thread that reads it."""
        with self._changed:
            if self._wait:
                self._changed.wait_for(lambda: len(self._waiting) < MOST_WAITING or self._closed)
            if self._closed:
                return
            if len(self._waiting) >= MOST_WAITING:
                self.unwritten += 1
                return
            self._waiting.append((seconds, frame))
            self._changed.notify_all()

    def close(self) -> None:
        """Show what waits, and end: films are whole then."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self.ident is not None:
            self.join()

    def run(self) -> None:
        """See the class."""
        overlay, reformatter = Overlay(), VideoReformatter()
        try:
            try:
                while (taken := self._take()) is not None:
                    seconds, frame = taken
                    frame_hwc = _upright(frame, reformatter)
                    overlay.draw(frame_hwc, self.caption)
                    for sink in self._sinks:
                        sink.write(seconds, frame_hwc)
            finally:
                for sink in self._sinks:
                    sink.close()
        except BaseException as error:  # for the thread that answers, whatever it is
            self.error = error
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def _take(self) -> tuple[float, VideoFrame] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            taken = self._waiting.popleft()
            self._changed.notify_all()
            return taken


def _upright(frame: VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """uint8 (H, W, 3) of the displayed frame, RGB, that may be drawn into."""
    orientation = Orientation.of(frame)
    stored_hwc = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    turned = stored_hwc.transpose(1, 0, 2) if orientation.transposed else stored_hwc
    turned = turned[:: -1 if orientation.flip_y else 1, :: -1 if orientation.flip_x else 1]
    return np.ascontiguousarray(turned)
