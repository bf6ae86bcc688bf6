"""Frames by presentation time: seek to the right keyframe, decode forward, skip what nobody wants.

A frame is on display from its own presentation time until that of the next one. So variable frame rates, clocks that
do not start at zero and missing time stamps need no special case: who asks for a time gets the frame a viewer saw.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from av.error import FFmpegError

from zoo.data.film import Film, undecodable

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.video.stream import VideoStream

SKIPPING = frozenset({"h264", "hevc"})
"""Decoders that can leave out frames nothing refers to, and whose frames keep their packets' time stamps."""

REORDERED = 16
"""How many packets later a frame can be stored than it is displayed: the largest reorder depth of H.264 and HEVC."""


def frames_at(film: Film, times: Sequence[float]) -> Iterator[VideoFrame]:
    """Yield the frame on display at each time.

    Args:
        film: an open film.
        times: ascending, in seconds on the stream's own clock (`film.timeline.origin` is the first frame). Before the
            first frame counts as the first, after the end as the last.

    Yields:
        One decoded frame per time; the same object again where one frame answers several times.

    Raises:
        UndecodableMedia: not one frame could be decoded.
    """
    packets = _packets_for(film, times[0], times[-1])
    wanted = _wanted_stamps(film, packets, times)
    last = max(wanted) if wanted else None
    shown: VideoFrame | None = None
    answered = 0
    clock = _Clock(film, packets)
    for frame in _decode(film, packets, wanted):
        now = clock.read(frame)
        while answered < len(times) and times[answered] < now:
            yield shown or frame
            answered += 1
        if answered == len(times):
            return
        shown = frame
        if frame.pts is not None and frame.pts == last:
            break
    if shown is None:
        raise undecodable(film.path, f"no frame could be decoded at {times[0] - film.timeline.origin:.2f} s")
    for _ in times[answered:]:
        yield shown


class _Clock:
    """Presentation times of decoded frames, also of those that carry none.

    Without presentation times in the file (AVI) a frame comes out with the place of the packet that pushed it out of
    the decoder. The first one that comes out was the first to go in; the lag between the two stays the same.
    """

    def __init__(self, film: Film, packets: Sequence[Packet[VideoStream]]) -> None:
        self._has_clock = film.has_clock
        self._base = float(film.video.time_base or 0)
        self._lasts = 1 / film.timeline.fps
        self._next = film.timeline.origin
        self._first_in = packets[0].dts if packets else None
        self._lag: int | None = None

    def read(self, frame: VideoFrame) -> float:
        """Seconds on the stream's clock."""
        stamp = frame.pts
        if not self._has_clock or stamp is None:
            stamp = frame.dts
            if stamp is not None and self._first_in is not None:
                self._lag = stamp - self._first_in if self._lag is None else self._lag
                stamp -= self._lag
        now = self._next if stamp is None else stamp * self._base
        self._next = now + self._lasts
        return now


def _packets_for(film: Film, first: float, last: float) -> list[Packet[VideoStream]]:
    """Packets in decoding order, from a keyframe displayed at or before `first` through all displayed by `last`."""
    origin, base = film.timeline.origin, float(film.video.time_base or 0)
    back = 0.0
    while first - back > origin + 1 / film.timeline.fps:
        try:
            film.container.seek(int((first - back) / base), stream=film.video)
        except FFmpegError:
            break  # not every format can seek
        film.waiting = []
        packets = _packets_until(film, last)
        keyframes = [stamp for packet in packets if packet.is_keyframe and (stamp := film.stamp(packet)) is not None]
        if keyframes and keyframes[0] * base <= first:
            return packets
        back = 2 * back + 1.0  # the index is by storage time: the keyframe found may be displayed too late
    if not film.waiting:
        film.rewind()
    return _packets_until(film, last)


def _packets_until(film: Film, last: float) -> list[Packet[VideoStream]]:
    base = float(film.video.time_base or 0)
    packets: list[Packet[VideoStream]] = []
    beyond = 0
    for packet in film.packets():
        packets.append(packet)
        stamp = film.stamp(packet)
        if film.has_clock and packet.dts is not None:
            stamp, enough = packet.dts, 0  # nothing is displayed before it is decoded
        else:
            enough = REORDERED
        beyond += stamp is not None and stamp * base > last
        if beyond > enough:
            break
    return packets


def _wanted_stamps(film: Film, packets: Sequence[Packet[VideoStream]], times: Sequence[float]) -> frozenset[int] | None:
    """Time stamps of the frames that answer `times`; None where stamps cannot be relied on and all are decoded."""
    reliable = film.has_clock and film.video.codec_context.name in SKIPPING
    if not reliable or any(packet.pts is None for packet in packets):
        return None
    stamps = sorted(packet.pts for packet in packets if packet.pts is not None and not packet.is_discard)
    if not stamps:
        return None
    base = float(film.video.time_base or 0)
    seconds = [stamp * base for stamp in stamps]
    return frozenset(stamps[max(0, bisect_right(seconds, time) - 1)] for time in times)


def _decode(film: Film, packets: Sequence[Packet[VideoStream]], wanted: frozenset[int] | None) -> Iterator[VideoFrame]:
    """Frames in presentation order; those that are neither wanted nor referred to may be missing."""
    context = film.video.codec_context
    skipping = False
    for packet in packets:
        skip = wanted is not None and packet.pts not in wanted
        if skip != skipping:
            context.skip_frame = "NONREF" if skip else "DEFAULT"
            skipping = skip
        yield from context.decode(packet)
    yield from context.decode(None)
