"""Frames by presentation time: seek to the right keyframe, decode forward, skip what nobody wants.

A frame is on display from its own presentation time until that of the next one. So variable frame rates, clocks that
do not start at zero and missing time stamps need no special case: who asks for a time gets the frame a viewer saw.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from av.error import FFmpegError

from zoo.data.decode.film import Film, undecodable
from zoo.data.decode.mpeg4 import PLACEHOLDER

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.video.stream import VideoStream

SKIPPING = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
"""Decoders that can leave out frames nothing refers to, and whose frames keep their packets' time stamps."""

REORDERED = 16
"""How many packets later a frame can be stored than it is displayed: the largest reorder depth of H.264 and HEVC."""

WORTH_A_SEEK = 4
"""Frames. A keyframe that follows sooner is reached by decoding on."""

WORTH_A_FLUSH = 2
"""Packets nobody needs in front of a keyframe: for fewer the decoder is not emptied and set up anew."""

LONGEST_STRETCH = 500
"""Frames whose packets are held in memory at once, as far as the film can be searched for the next ones."""

MOST_HELD = 512 * 1024**2
"""Bytes of packets held in memory at once; where a frame takes more to decode, the film is decoded from its beginning
without holding any."""

RUN_UP = 4.0
"""Seconds by which decoding starts earlier where a keyframe turns out to be none, as in films refreshed bit by bit."""

UNINDEXED_GAP = 10.0
"""Seconds without a wanted frame after which a file that has no index is searched, not decoded on."""


def frames_at(film: Film, times: Iterable[float]) -> Iterator[VideoFrame]:
    """Yield the frame on display at each time; the file is read once, from front to back, as far as asked for.

    Between two times the film is decoded on, or searched for a later keyframe, whichever is less work.

    Args:
        film: an open film.
        times: ascending, in seconds on the stream's own clock (`film.timeline.origin` is the first frame). Before the
            first frame counts as the first, after the end as the last. There may be more than fit into memory.

    Yields:
        One decoded frame per time; the same object again where one frame answers several times.

    Raises:
        UndecodableMedia: not one frame could be decoded, or a wanted one is damaged or built on a damaged one.
    """
    for stretch in _stretches(film, times):
        yield from _decoded(film, stretch)


def frames_from(film: Film, start: float) -> Iterator[tuple[float, VideoFrame]]:
    """Every frame from the one on display at `start`, with its time; both on the stream's own clock, in seconds.

    Example:
        >>> with open_film("film.mp4") as film:                                         # doctest: +SKIP
        ...     times = [time for time, _ in frames_from(film, film.timeline.origin)]
    """
    packets: Iterable[Packet[VideoStream]] | None = _packets_for(film, start, start)
    packets = _from_the_beginning(film) if packets is None else chain(packets, film.packets())
    clock = _Clock(film)
    before: tuple[float, VideoFrame] | None = None
    for frame in _sound(film, _decode(film, packets, None)):
        film.be_patient()
        now = clock.read(frame)
        if now <= start:
            before = now, frame
            continue
        if before is not None:
            yield before
            before = None
        yield now, frame
    if before is not None:
        yield before


def _stretches(film: Film, times: Iterable[float]) -> Iterator[list[float]]:
    """Cut ascending times where a keyframe spares more decoding than seeking costs, and where memory asks for it."""
    frame = 1 / film.timeline.fps
    indexed, searchable = film.indexed, film.searchable
    stretch: list[float] = []
    for time in times:
        if stretch:
            before = stretch[-1]
            far = time - before > WORTH_A_SEEK * frame and film.keyframe_between(before + WORTH_A_SEEK * frame, time)
            blind = searchable and not indexed and time - before > UNINDEXED_GAP
            long = time - stretch[0] > LONGEST_STRETCH * frame
            if far or blind or (long and (film.keyframe_between(before, time) if indexed else searchable)):
                yield stretch
                stretch = []
        stretch.append(time)
    if stretch:
        yield stretch


def _decoded(film: Film, times: Sequence[float]) -> Iterator[VideoFrame]:
    """The frame on display at each time of one stretch."""
    packets = _packets_for(film, times[0], times[-1])
    stamps = None if packets is None else _wanted_stamps(film, packets, times)
    answered = 0
    if packets is not None and stamps is not None:
        for frame in _wanted_frames(film, packets, stamps):
            yield frame
            answered += 1
    # A packet gave no picture, or a keyframe was none: it takes a run-up, and all frames, to know what is shown.
    for earlier in (RUN_UP, inf):
        if answered < len(times):
            packets = _packets_for(film, times[answered], times[-1], earlier)
            whole = packets is None or earlier == inf
            all_of_them = _from_the_beginning(film) if packets is None else packets
            for frame in _shown_frames(film, all_of_them, times[answered:], whole=whole):
                yield frame
                answered += 1


def _wanted_frames(film: Film, packets: Sequence[Packet[VideoStream]], stamps: Sequence[int]) -> Iterator[VideoFrame]:
    """One frame for each of the ascending time stamps; ends early at one that does not come out of the decoder.

    Frames that are neither wanted nor referred to are not decoded, nor is what lies between a wanted one and the
    next keyframe.
    """
    wanted = frozenset(stamps)
    answered = 0
    for run in _runs(packets, wanted):
        for frame in _sound(film, _decode(film, run, wanted)):
            if frame.pts is None or frame.pts > stamps[answered]:
                return
            while answered < len(stamps) and frame.pts == stamps[answered]:
                yield frame
                answered += 1
            if answered == len(stamps):
                return
        film.video.codec_context.flush_buffers()


def _runs(packets: Sequence[Packet[VideoStream]], wanted: frozenset[int]) -> Iterator[Sequence[Packet[VideoStream]]]:
    """The packets up to the last wanted one, without those that only lead up to a keyframe where decoding can begin.

    It cannot begin there for a picture that is displayed before the keyframe: it may refer to what is before it.

    Args:
        packets: in decoding order, the first one of a keyframe.
        wanted: the time stamps of some of them.
    """
    keys = [at for at, packet in enumerate(packets) if at and packet.is_keyframe and packet.size > PLACEHOLDER]
    begin = needed = 0
    for key, following in zip([0, *keys], [*keys, len(packets)], strict=True):
        own = [at for at in range(key, following) if packets[at].pts in wanted]
        if not own:
            continue
        first = min(packets[at].pts or 0 for at in own)
        if key - needed >= WORTH_A_FLUSH and first >= (packets[key].pts or 0):
            if needed:
                yield packets[begin:needed]
            begin = key
        needed = own[-1] + 1
    yield packets[begin:needed]


def _shown_frames(
    film: Film, packets: Iterable[Packet[VideoStream]], times: Sequence[float], *, whole: bool
) -> Iterator[VideoFrame]:
    """The frame on display at each time, by decoding everything.

    Nothing is yielded when the first frame out of the decoder comes too late, unless the packets are the `whole` film.
    """
    shown: VideoFrame | None = None
    answered = 0
    clock = _Clock(film)
    for frame in _sound(film, _decode(film, packets, None)):
        now = clock.read(frame)
        if shown is None and now > times[0] and not whole:
            return
        while answered < len(times) and times[answered] < now:
            yield shown or frame
            answered += 1
        if answered == len(times):
            return
        shown = frame
    if shown is None:
        if not whole:
            return
        raise undecodable(film.path, f"no frame could be decoded at {times[0] - film.timeline.origin:.2f} s")
    for _ in times[answered:]:
        yield shown


def _sound(film: Film, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The frames, as long as none is damaged, nor follows a damaged one before the next keyframe.

    A decoder covers damage up with what lies around it, in that frame and in all that are built on it.
    """
    damaged = False
    for frame in frames:
        damaged = frame.is_corrupt or (damaged and not frame.key_frame)
        if damaged:
            seconds = 0.0 if frame.time is None else frame.time - film.timeline.origin
            raise undecodable(film.path, f"its pictures are damaged at {seconds:.2f} s")
        yield frame


class _Clock:
    """Presentation times of decoded frames, also of those that carry none.

    Without presentation times in the file (AVI) a frame comes out with the place of the packet that pushed it out of
    the decoder, a fixed lag behind its own: `film.lag`.
    """

    def __init__(self, film: Film) -> None:
        self._has_clock = film.has_clock
        self._base = float(film.video.time_base or 0)
        self._lasts = 1 / film.timeline.fps
        self._next = film.timeline.origin
        self._lag = film.lag

    def read(self, frame: VideoFrame) -> float:
        """Seconds on the stream's clock."""
        stamp = frame.pts
        if not self._has_clock or stamp is None:
            stamp = None if frame.dts is None else frame.dts - self._lag
        now = self._next if stamp is None else stamp * self._base
        self._next = now + self._lasts
        return now


def _from_the_beginning(film: Film) -> Iterator[Packet[VideoStream]]:
    film.rewind()
    return film.packets()


def _packets_for(film: Film, first: float, last: float, earlier: float = 0.0) -> list[Packet[VideoStream]] | None:
    """Packets in decoding order, from a keyframe displayed at or before `first` through all displayed by `last`.

    Args:
        film: an open film.
        first: in seconds on the stream's own clock.
        last: likewise.
        earlier: by how much more than needed to go back; infinite for the beginning.

    Returns:
        None where they are more than may be held.
    """
    timeline, base = film.timeline, float(film.video.time_base or 0)
    needed = min(first, timeline.origin + timeline.seconds)
    if not film.has_clock and film.video.codec_context.has_b_frames:
        needed -= REORDERED / timeline.fps  # a keyframe's place says little about when it is displayed
    back = earlier
    while film.searchable and needed - back > timeline.origin + 1 / timeline.fps:
        try:
            film.seek(needed - back)
        except FFmpegError:
            break  # not every format can seek
        packets = _packets_until(film, last)
        if packets is None:
            return None
        start = next((at for at, packet in enumerate(packets) if packet.is_keyframe), len(packets))
        # A packet of a few bytes repeats the frame before it, also when it is marked as key.
        if start < len(packets) and packets[start].size > PLACEHOLDER:
            stamps = (film.stamp(packet) for packet in packets[start:] if not packet.is_discard)
            if any(stamp is not None and stamp * base <= needed for stamp in stamps):
                return packets[start:]
        back = 2 * back + 1.0  # the index is by storage time: the keyframe found may be displayed too late
    film.rewind()
    return _packets_until(film, last)


def _packets_until(film: Film, last: float) -> list[Packet[VideoStream]] | None:
    """Packets from where the film stands, until none that is displayed by `last` can follow; None for too many."""
    base, has_clock = float(film.video.time_base or 0), film.has_clock
    packets: list[Packet[VideoStream]] = []
    beyond = held = 0
    for packet in film.watched_packets():
        packets.append(packet)
        held += packet.size
        if held > MOST_HELD:
            return None
        if has_clock and (decoded := packet.dts) is not None:
            if decoded * base > last:
                break  # nothing is displayed before it is decoded
            continue
        stamp = film.stamp(packet)
        beyond += stamp is not None and stamp * base > last
        if beyond > REORDERED:
            break
    return packets


def _wanted_stamps(film: Film, packets: Sequence[Packet[VideoStream]], times: Sequence[float]) -> list[int] | None:
    """The time stamp of the frame that answers each time; None where stamps cannot be relied on."""
    if not film.has_clock or any(packet.pts is None for packet in packets):
        return None
    stamps = sorted(packet.pts for packet in packets if packet.pts is not None and not packet.is_discard)
    if not stamps:
        return None
    base = float(film.video.time_base or 0)
    seconds = [stamp * base for stamp in stamps]
    return [stamps[max(0, bisect_right(seconds, time) - 1)] for time in times]


def _decode(film: Film, packets: Iterable[Packet[VideoStream]], wanted: frozenset[int] | None) -> Iterator[VideoFrame]:
    """Frames in presentation order; those that are neither wanted nor referred to may be missing."""
    context = film.video.codec_context
    may_skip = wanted is not None and context.name in SKIPPING
    skipping = False
    for number, packet in enumerate(packets):
        if number % 8 == 0:
            film.check_time()
        skip = may_skip and packet.pts not in wanted  # type: ignore[operator]
        if skip != skipping:
            context.skip_frame = "NONREF" if skip else "DEFAULT"
            skipping = skip
        yield from context.decode(packet)
    if skipping:
        context.skip_frame = "DEFAULT"
    yield from context.decode(None)
