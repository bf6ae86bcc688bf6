"""The thread that reads a source: it keeps time, and tries again when the source is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from zoo.data.decode.film import undecodable
from zoo.streaming.clock import Clock
from zoo.streaming.cutter import Cutter
from zoo.streaming.plan import Plan, Wanted
from zoo.streaming.source import Lost, Opened, Source, opened
from zoo.streaming.windows import WindowQueue

if TYPE_CHECKING:
    from av import VideoFrame

Say = Callable[[str], None]
Show = Callable[[float, "VideoFrame"], None]

LONGEST_BACK_OFF = 30.0
"""Seconds between two tries to reach a lost source, at most."""


class Feed(threading.Thread):
    """Reads a source until it ends, is lost for good, or `stop` is called.

    Args:
        source: what to read.
        wanted: what the model wants to see; `turn_to` changes it.
        queue: where windows go; it is closed at the end.
        real_time: wait until a frame of a film is due; else read as fast as windows are taken.
        seconds: how much of the stream to read; None for all.
        timeout: seconds to wait for a server or camera.
        reconnect: how often in a row to try to reach a lost source again.
        back_off: seconds before the first of these tries; each waits twice as long as the one before.
        show: called with every frame and its time, in this thread.
        say: called with what a person should know, in this thread.

    Attributes:
        ready: set when the first frame was decoded, or there is none.
        error: what ended the reading, None where it is well.
        frames: how many were decoded.
        reconnects: how often a lost source came back.
    """

    def __init__(
        self,
        source: Source,
        wanted: Wanted,
        queue: WindowQueue,
        *,
        real_time: bool,
        seconds: float | None,
        timeout: float,
        reconnect: int,
        back_off: float,
        show: Show | None,
        say: Say,
    ) -> None:
        super().__init__(name=f"feed {source.name}", daemon=True)
        self.ready = threading.Event()
        self.error: BaseException | None = None
        self.frames = 0
        self.reconnects = 0
        self._source, self._wanted, self._queue = source, wanted, queue
        self._real_time, self._seconds, self._timeout = real_time, seconds, timeout
        self._reconnect, self._back_off = reconnect, back_off
        self._show, self._say = show, say
        self._stopping = threading.Event()
        self._clock = Clock()
        self._now = 0.0  # seconds of the stream
        self._zero: float | None = None  # when its first frame was due, by our clock
        self._arrived = 0.0
        self._paced = False
        self._cutter: Cutter | None = None
        self._said: Wanted | None = None
        self._handed_on = 0

    def turn_to(self, wanted: Wanted) -> None:
        """Make other windows from the next frame on."""
        self._wanted = wanted

    def stop(self) -> None:
        """Ask the thread to end; it does after what it is waiting for, at the latest after `timeout`."""
        self._stopping.set()
        self._queue.close()

    def run(self) -> None:
        """See the class."""
        try:
            self._read_on()
        except BaseException as error:  # for the thread that answers, whatever it is
            self.error = error
        finally:
            self._queue.close()
            self.ready.set()

    def _read_on(self) -> None:
        """Read, and try again when the source is lost."""
        tries, wait = 0, self._back_off
        while not self._over:
            before = self.frames
            try:
                self._read_once()
                return
            except Lost as loss:
                if self._over:
                    return
                if self.frames > before:
                    tries, wait = 0, self._back_off
                if not self.frames or tries >= self._reconnect:
                    after = f", and did not come back in {tries} tries" if tries else ""
                    hint = "look whether it is on, and what its address is" if not self.frames else None
                    raise undecodable(self._source.name, f"{loss}{after}", hint=hint) from loss
                tries += 1
                self._say(f"{self._source.name}: {loss}; trying again in {wait:g} s ({tries} of {self._reconnect})")
                self._stopping.wait(wait)
                wait = min(2 * wait, LONGEST_BACK_OFF)

    def _read_once(self) -> None:
        """Read a source from when it is opened to its end.

        Raises:
            Lost: that was not its end.
        """
        with opened(self._source, timeout=self._timeout, start=self._now) as source:
            self._begin(source)
            for number, moment in enumerate(source.frames):
                self._arrived = time.monotonic()
                if number == 0 and self.frames:
                    self.reconnects += 1
                    self._say(f"{self._source.name}: it is back")
                now = self._time_of(source, moment.time)
                self._take(now, moment.frame, moment.until or now + 1 / source.rate)
                if self._over:
                    return
                self.ready.set()
        if not self.frames:
            raise undecodable(self._source.name, "not one frame of it could be decoded")
        if not source.ends:
            raise Lost("it ended")
        if self._cutter is not None and not self._handed_on:
            for slot in self._cutter.rest():  # the film is shorter than a window
                self._hand_on(slot, self._cutter, self._now)

    def _begin(self, source: Opened) -> None:
        self._paced = self._real_time and source.paced
        self._rate = source.rate
        self._zero = None
        self._clock.lose()
        self._cutter = None

    def _time_of(self, source: Opened, own: float | None) -> float:
        """Seconds of the stream; a break in them begins a new run of windows."""
        if source.seconds is not None and own is not None:
            now = own
        else:
            now, continuous = self._clock.read(own, self._arrived)
            if not continuous:
                self._cutter = None
        if self._zero is None:
            self._zero = self._arrived - now
        return now

    def _take(self, now: float, frame: VideoFrame, until: float) -> None:
        self.frames += 1
        self._now = now
        cutter = self._cutter = self._cutter_at(now)
        self._wait_until(now)
        for slot in cutter.until(now):
            self._hand_on(slot, cutter, now)
        if self._show is not None and not self._over:
            self._show(now, frame)
        cutter.display(frame)
        for slot in cutter.until(until):
            if self._over:
                return
            shown = max(slot / cutter.plan.rate, now)
            self._wait_until(shown)
            self._hand_on(slot, cutter, shown)

    def _cutter_at(self, now: float) -> Cutter:
        """What cuts the stream into the windows that are wanted; a new one where frames have to look different."""
        wanted, cutter = self._wanted, self._cutter
        if cutter is not None and cutter.plan.wanted is wanted:
            return cutter
        plan = Plan.of(wanted, self._rate)
        if wanted is not self._said:
            self._said = wanted
            self._say(str(plan))
        if cutter is not None and cutter.plan.wanted.clip == wanted.clip:
            cutter.slide_by(plan)
            return cutter
        return Cutter(plan, now, run=self.frames)

    def _hand_on(self, slot: int, cutter: Cutter, shown: float) -> None:
        """Put the window that ends with a slot into the queue, if one does; it was shown at that time of the stream."""
        due = self._due(shown) if self._paced else self._arrived
        if (window := cutter.window(slot, due)) is not None:
            self._handed_on += 1
            self._queue.put(window)

    def _due(self, now: float) -> float:
        return (self._zero or 0.0) + now

    def _wait_until(self, now: float) -> None:
        """Wait until a moment of the stream has come, where it is played in real time."""
        if self._paced:
            self._stopping.wait(max(0.0, self._due(now) - time.monotonic()))

    @property
    def _over(self) -> bool:
        """Whether nothing more is to be read."""
        return self._stopping.is_set() or (self._seconds is not None and self._now >= self._seconds)
