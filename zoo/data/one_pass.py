"""A film from some place on, frame by frame in one pass: memory stays the same however long the film is.

`zoo.data.frames.frames_at` reads ahead many packets of what it is asked for, which decides best what need not be
decoded; here only as many are held as a frame can be stored later than it is displayed.
"""

from __future__ import annotations

import itertools
import math
import time
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from av.error import FFmpegError

from zoo.data.film import Film, undecodable
from zoo.data.frames import REORDERED, SKIPPING, _Clock, _sound
from zoo.data.mpeg4 import PLACEHOLDER

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.video.stream import VideoStream


def frames_from(film: Film, start: float) -> Iterator[tuple[float, VideoFrame]]:
    """Every frame from the one on display at `start`, with its time; both on the stream's own clock, in seconds.

    Example:
        >>> with open_film("film.mp4") as film:                                         # doctest: +SKIP
        ...     times = [time for time, _ in frames_from(film, film.timeline.origin)]
    """
    before: tuple[float, VideoFrame] | None = None
    for now, frame in _timed(film, _decoded(film, _packets_from(film, start))):
        if now <= start:
            before = now, frame
            continue
        if before is not None:
            yield before
            before = None
        yield now, frame
    if before is not None:
        yield before


def frames_shown(film: Film, times: Iterable[float]) -> Iterator[VideoFrame]:
    """The frame on display at each time, as `frames_at` gives them; times are asked for as the film goes on.

    Args:
        film: an open film.
        times: ascending, in seconds on the stream's own clock, as many as you like.

    Yields:
        One decoded frame per time; the same object again where one frame answers several times.

    Raises:
        UndecodableMedia: not one frame could be decoded.
    """
    asked = iter(times)
    wanted = next(asked, None)
    if wanted is None:
        return
    first = wanted
    ahead, answered = itertools.tee(itertools.chain([wanted], asked))
    packets = _packets_from(film, first)
    if film.has_clock and film.video.codec_context.name in SKIPPING:
        frames = _decoded_where_wanted(film, packets, ahead)
    else:
        del ahead  # else the copy would keep every time until the end
        frames = _decoded(film, packets)
    wanted = next(answered)
    shown: VideoFrame | None = None
    for now, frame in _timed(film, frames):
        while wanted is not None and wanted < now:
            yield shown or frame
            wanted = next(answered, None)
        if wanted is None:
            return
        shown = frame
    if shown is None:
        raise undecodable(film.path, f"no frame could be decoded at {first - film.timeline.origin:.2f} s")
    yield shown  # past the last frame counts as the last
    for _ in answered:
        yield shown


def _timed(film: Film, frames: Iterator[VideoFrame]) -> Iterator[tuple[float, VideoFrame]]:
    """Frames with their presentation times; patience counts from one frame to the next, for a film may be long."""
    clock = _Clock(film)
    for frame in _sound(film, frames):
        film.deadline = time.monotonic() + film.decoder.time_limit
        yield clock.read(frame), frame


def _packets_from(film: Film, first: float) -> Iterator[Packet[VideoStream]]:
    """Packets in decoding order, from a keyframe displayed at or before `first` to the end."""
    origin, lasts, base = film.timeline.origin, 1 / film.timeline.fps, float(film.video.time_base or 0)
    needed = min(first, origin + film.timeline.seconds)
    if not film.has_clock and film.video.codec_context.has_b_frames:
        needed -= REORDERED * lasts  # a keyframe's place says little about when it is displayed
    back = 0.0
    while needed - back > origin + lasts:
        try:
            film.seek(needed - back)
        except FFmpegError:
            break  # not every format can seek
        packets = film.packets()
        key = next((packet for packet in packets if packet.is_keyframe), None)
        stamp = None if key is None or key.size <= PLACEHOLDER else film.stamp(key)
        if key is not None and stamp is not None and stamp * base <= needed:
            return itertools.chain([key], packets)
        back = 2 * back + 1.0  # the index is by storage time: the keyframe found may be displayed too late
    film.rewind()
    return film.packets()


def _decoded(film: Film, packets: Iterable[Packet[VideoStream]]) -> Iterator[VideoFrame]:
    for packet in packets:
        film.check_time()
        yield from film.video.codec_context.decode(packet)
    yield from film.video.codec_context.decode(None)


def _decoded_where_wanted(
    film: Film, packets: Iterable[Packet[VideoStream]], times: Iterator[float]
) -> Iterator[VideoFrame]:
    """Frames in presentation order; those that are neither wanted nor referred to may be missing."""
    context = film.video.codec_context
    skipping = False
    for packet, wanted in _wanted(packets, times):
        film.check_time()
        if skipping == wanted:
            skipping = not wanted
            context.skip_frame = "NONREF" if skipping else "DEFAULT"
        yield from context.decode(packet)
    context.skip_frame = "DEFAULT"
    yield from context.decode(None)


def _wanted(
    packets: Iterable[Packet[VideoStream]], times: Iterator[float]
) -> Iterator[tuple[Packet[VideoStream], bool]]:
    """Packets with whether a time falls between their frame and the next one displayed; without stamps all are wanted.

    Nothing is displayed before it is decoded, so once a packet with a decoding time of `now` was read, all
    presentation times up to it are known.
    """
    pending: deque[Packet[VideoStream]] = deque()
    stamps: list[int] = []
    upcoming = _Upcoming(times)
    relied_on, now = True, -math.inf
    for packet in packets:
        pending.append(packet)
        if packet.pts is None or packet.dts is None:
            relied_on = False
        else:
            now = max(now, packet.dts)
            if not packet.is_discard:
                insort(stamps, packet.pts)
        while pending:
            if not relied_on:
                yield pending.popleft(), True
                continue
            following = _following(stamps, pending[0])
            if following > now:
                break  # a frame not read yet may be displayed before
            yield pending[0], upcoming.any(pending[0], following)
            pending.popleft()
        if relied_on and len(stamps) > 4 * REORDERED:
            earliest = min([now, *(packet.pts or 0 for packet in pending)])  # of all that is still to be decided
            del stamps[: bisect_left(stamps, earliest)]
            upcoming.forget(earliest * float(packet.time_base))
    for packet in pending:
        yield packet, not relied_on or upcoming.any(packet, _following(stamps, packet))


def _following(stamps: list[int], packet: Packet[VideoStream]) -> float:
    at = bisect_right(stamps, packet.pts or 0)
    return stamps[at] if at < len(stamps) else math.inf


class _Upcoming:
    """Times that somebody wants, read from an iterator as far as needed."""

    def __init__(self, times: Iterator[float]) -> None:
        self._times = times
        self._read: list[float] = []
        self._first = True

    def any(self, packet: Packet[VideoStream], following: float) -> bool:
        """Whether one falls from a packet's presentation time to the next one's; before the first frame counts too."""
        base = float(packet.time_base)
        begin, end = -math.inf if self._first else (packet.pts or 0) * base, following * base
        self._first = False
        while not self._read or self._read[-1] < end:
            time = next(self._times, None)
            if time is None:
                break
            self._read.append(time)
        at = bisect_left(self._read, begin)
        return at < len(self._read) and self._read[at] < end

    def forget(self, before: float) -> None:
        """Drop times that no packet to come can answer."""
        del self._read[: bisect_left(self._read, before)]
