"""Keyframes: the frames of a film that need no other one to be decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.data.decode.film import Film, Media, open_film
from zoo.data.decode.mpeg4 import PLACEHOLDER

if TYPE_CHECKING:
    from av import Packet
    from av.video.stream import VideoStream


def keyframes(media: Media) -> list[float]:
    """When the keyframes of a film are displayed. Packets are read, nothing is decoded.

    Encoders place them at scene changes and every few seconds besides. A seek lands on one, so they are the cheapest
    frames of a film to look at.

    Args:
        media: a film, as `read_clip` takes it; a picture has one keyframe, at 0.

    Returns:
        Ascending, in seconds from the first frame.

    Raises:
        UndecodableMedia: with the file and the reason.

    Example:
        >>> keyframes("film.mp4")                                                        # doctest: +SKIP
        [0.0, 2.04, 7.08]
    """
    with open_film(media) as film:
        return [max(0.0, stamp - film.timeline.origin) for stamp in keyframe_stamps(film)]


def keyframe_stamps(film: Film) -> list[float]:
    """When the keyframes of an open film are displayed, in seconds on the stream's own clock; ascending.

    The film stands at its beginning afterwards.
    """
    film.rewind()
    base = float(film.video.time_base or 0)
    # Not with `discard = nonkey`: FFmpeg's mp4 demuxer then gives presentation times of other packets.
    stamps = [stamp * base for packet in film.watched_packets() if (stamp := _shown(film, packet)) is not None]
    film.rewind()
    return sorted(stamps) or [film.timeline.origin]


def _shown(film: Film, packet: Packet[VideoStream]) -> int | None:
    """The time stamp of a keyframe that is displayed, None for any other packet.

    DivX files repeat a frame by a packet of a few bytes, which may be marked as a keyframe.
    """
    key = packet.is_keyframe and not packet.is_discard and packet.size > PLACEHOLDER
    return film.stamp(packet) if key else None
