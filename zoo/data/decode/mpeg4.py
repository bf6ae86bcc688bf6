"""MPEG-4 part 2 in AVI: when each picture is displayed, in a container that only knows the order of storage.

AVI counts packets; a packet's place is all it says about time. Encoders with B-pictures store a picture before those
that are displayed before it, and "packed" streams (DivX) put two pictures into one packet and a placeholder of a few
bytes later, so that the places come out right in players that knew no B-pictures. Here packets are unpacked, and every
one gets the time at which its picture is displayed. An encoder that had to see two pictures before it could write the
second leaves an empty packet in its place: all that follows is stored one place late.

Source: ISO/IEC 14496-2, 6.2.5 (the header of a video object plane) and 6.1.3.6 (the order of coded pictures).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from av.bitstream import BitStreamFilterContext

if TYPE_CHECKING:
    from av import Packet
    from av.video.stream import VideoStream

CODEC = "mpeg4"
"""FFmpeg's name of it."""

PLACEHOLDER = 7
"""Bytes of a packet that cannot hold a picture: its start code alone is four, its header two or more."""

_PICTURE = b"\x00\x00\x01\xb6"
_B_PICTURE = 2


def in_display_order(packets: Iterable[Packet[VideoStream]], stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Packets with one picture each, still in the order of decoding, with true presentation times.

    A picture that others refer to is displayed after the B-pictures stored behind it, a B-picture one place earlier
    than it is stored. Decoding times are one place early, so that none is later than its presentation time.

    Args:
        packets: of one stream, from a keyframe on; their places are their decoding times.
        stream: theirs.
    """
    late = _places_late(stream)
    unpack: BitStreamFilterContext | None = None
    held: list[Packet[VideoStream]] = []  # a picture, and the B-pictures behind it
    for packet in packets:
        data = bytes(packet)
        if unpack is None and data.count(_PICTURE) > 1:
            unpack = BitStreamFilterContext("mpeg4_unpack_bframes", stream)
        for single in (packet,) if unpack is None else unpack.filter(packet):
            kind = _kind(data if single is packet else bytes(single))
            if kind is None or single.dts is None:
                continue  # the picture before it stays on display
            if held and kind != _B_PICTURE:
                _set_times(held, late)
                yield from held
                held = []
            held.append(single)
    if held:
        _set_times(held, late)
        yield from held


def _places_late(stream: VideoStream) -> int:
    index = stream.index_entries
    return int(len(index) > 1 and index[1].size < PLACEHOLDER)


def _set_times(group: Sequence[Packet[VideoStream]], late: int) -> None:
    """Give a picture, and the B-pictures behind it, the times at which they are displayed."""
    place = 0
    for packet in group:
        place = max(0, (packet.dts or 0) - late)
        packet.dts = packet.pts = place - 1
    # Placeholders may lie between: the first picture follows the last of its B-pictures.
    group[0].pts = place


def _kind(data: bytes) -> int | None:
    """The coding type of the picture in a packet, None where there is none."""
    at = data.find(_PICTURE)
    return None if at < 0 or len(data) - at < PLACEHOLDER - 1 else data[at + len(_PICTURE)] >> 6
