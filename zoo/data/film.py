"""An opened film or picture: its streams, its place in time, and what went wrong, in words."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import ArgumentError, FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from zoo_registry.errors import Location, Problem, UndecodableMedia

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer

LARGEST_SIDE = 16384
"""Pixels. Beyond any camera; a header that says more is broken or hostile."""

_LEADING_ELSEWHERE = frozenset(
    ("avisynth", "concat", "dash", "hls", "imf", "lavfi", "mlv", "rtp", "rtsp", "sap", "sdp", "vapoursynth", "vobsub")
)
"""Formats that hold no film but say where one is: in other files, or on the network."""

# What a file holds decides its format, whatever its name; `%` in a picture's name is no pattern.
_OPEN_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(av.formats_available - _LEADING_ELSEWHERE)),
    "pattern_type": "none",
}


@dataclass(frozen=True)
class Timeline:
    """When the frames of a film are displayed.

    Attributes:
        origin: presentation time of the first frame, in seconds of the stream's own clock.
        seconds: from the first frame to the end of the last.
        fps: mean frames per second.
    """

    origin: float
    seconds: float
    fps: float


@dataclass
class Film:
    """An open file and its best video stream; `zoo.data.frames.frames_at` reads from it.

    Attributes:
        path: as the user wrote it.
        container: the open file.
        video: the stream that is decoded.
        timeline: when its frames are displayed.
        lag: in a file without a clock, how many packets later than its own a frame leaves the decoder.
        at_start: nothing was decoded yet.
        waiting: packets that were read to find the timeline, to be decoded first.
    """

    path: str
    container: InputContainer
    video: VideoStream
    timeline: Timeline = Timeline(0.0, 1 / 25, 25.0)
    lag: int = 0
    at_start: bool = True
    waiting: list[Packet[VideoStream]] = field(default_factory=list)

    @property
    def has_clock(self) -> bool:
        """Whether packets say when they are displayed; AVI knows only the order in which they are stored."""
        return self.container.format.name != "avi"

    def stamp(self, packet: Packet[VideoStream]) -> int | None:
        """When a packet is displayed, in units of the stream's time base; by its place in the file without a clock."""
        return packet.pts if self.has_clock and packet.pts is not None else packet.dts

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Packets of the video stream from where the file stands."""
        waiting, self.waiting, self.at_start = self.waiting, [], False
        return itertools.chain(waiting, (packet for packet in self.container.demux(self.video) if packet.size))

    def seek(self, seconds: float) -> None:
        """Go to a keyframe stored at or before a time on the stream's clock.

        Raises:
            FFmpegError: the format cannot seek; nothing has moved.
        """
        self.container.seek(int(seconds / float(self.video.time_base or 1)), stream=self.video)
        self.waiting, self.at_start = [], False

    def rewind(self) -> None:
        """Go back to the first packet, also in files that cannot seek."""
        if not self.at_start:
            self.container.close()
            self.container = _open_container(self.path)
            self.video = video_stream(self.container, self.path)
            self.waiting, self.at_start = [], True


def undecodable(path: str | os.PathLike[str], reason: str, hint: str | None = None) -> UndecodableMedia:
    """The error of one file: `a.mp4: the file is empty`."""
    return UndecodableMedia(Problem(reason, Location(os.fspath(path)), hint))


@contextmanager
def open_film(path: str | os.PathLike[str]) -> Iterator[Film]:
    """Open a film or picture for reading; it is closed on leaving, whatever happens.

    Args:
        path: a local file; `file:` in front of it is allowed.

    Raises:
        UndecodableMedia: the file is missing, empty, cut off, absurdly large or holds no picture. Errors of the decoder
            inside the `with` block are put in words too.
    """
    name = os.fspath(path).removeprefix("file:")
    with decoder_errors_in_words(name), closing(_open_container(name)) as container:
        film = Film(name, container, video_stream(container, name))
        try:
            film.timeline = _timeline(film)
            film.lag = _lag(film)
            yield film
        finally:
            film.container.close()


@contextmanager
def decoder_errors_in_words(path: str) -> Iterator[None]:
    """Turn what the decoder raises into `UndecodableMedia`."""
    try:
        yield
    except FFmpegError as error:
        raise undecodable(path, _reason(path, error)) from error


def open_container(path: str) -> InputContainer:
    """Open a file for reading by its plain path.

    Raises:
        UndecodableMedia: the file is missing, empty or of no known format.
    """
    with decoder_errors_in_words(path):
        return _open_container(path)


def _open_container(path: str) -> InputContainer:
    # The prefix keeps names such as `concat:x` or `a:b.mp4` from being read as protocols.
    return av.open(f"file:{path}", metadata_errors="ignore", options=_OPEN_OPTIONS)


def _reason(path: str, error: FFmpegError) -> str:
    file = Path(path)
    if not file.exists():
        return "there is no such file"
    if file.is_dir():
        return "it is a folder"
    if not os.access(file, os.R_OK):
        return "no permission to read it"
    if file.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, ArgumentError):  # what FFmpeg answers for a format that is not on its whitelist
        return "it is no film but leads to other files, which are not opened (a playlist such as ffconcat or m3u8)"
    during = error.filename or ""
    if during.endswith("()"):
        return f"its pictures are damaged or cut off ({error.strerror}, {during})"
    return f"no film or picture that can be decoded, or cut off before its index ({error.strerror})"


def video_stream(container: InputContainer, path: str) -> VideoStream:
    """The stream to decode, with one thread.

    Raises:
        UndecodableMedia: there is none, or its header claims an absurd size.
    """
    stream = container.streams.best("video")
    # The cover picture of a song is a video stream of one frame to the demuxer, but no film.
    if not isinstance(stream, VideoStream) or Disposition.attached_pic in stream.disposition:
        if container.streams.audio:
            raise undecodable(path, "it has sound but no picture")
        if container.streams.video:
            raise undecodable(path, "its video stream has no frames")
        raise undecodable(path, "it holds neither picture nor sound")
    context = stream.codec_context
    if max(context.width, context.height) > LARGEST_SIDE:
        size = f"{context.width} x {context.height}"
        raise undecodable(path, f"its header claims {size} pixels, more than {LARGEST_SIDE} on a side")
    context.thread_count = 1  # loaders run one process per core; frame threads would also delay `skip_frame`
    return stream


def is_picture(container: InputContainer) -> bool:
    """Whether the format holds a single still picture."""
    return container.format.name == "image2" or container.format.name.endswith("_pipe")


def _timeline(film: Film) -> Timeline:
    """Where the frames lie in time; by the header when it says so, else by reading all packets once."""
    if is_picture(film.container):
        return Timeline(0.0, seconds=1 / 25, fps=25.0)
    video = film.video
    if video.duration is None or video.time_base is None:
        return _scanned(film.path, os.stat(film.path).st_mtime_ns)
    _refuse_cut_off(film)
    first = next(film.packets(), None)
    if first is None:
        raise undecodable(film.path, "its video stream has no frames")
    film.waiting, film.at_start = [first], True
    base = float(video.time_base)
    stamp = film.stamp(first)
    # Some AVI files start later than their header says, some MP4 files with packets that are never displayed.
    origin = max((video.start_time or 0) * base, base * (stamp or 0))
    rate = video.average_rate or video.guessed_rate or video.base_rate or 25
    return Timeline(origin, max(video.duration * base, 1 / float(rate)), float(rate))


def _lag(film: Film) -> int:
    """By how many packets the decoder holds frames back; found by decoding the first one."""
    if film.has_clock or not film.video.codec_context.has_b_frames:
        return 0
    first_in: int | None = None
    for packet in film.packets():
        first_in = packet.dts if first_in is None else first_in
        for frame in film.video.codec_context.decode(packet):
            film.rewind()
            return 0 if frame.dts is None or first_in is None else frame.dts - first_in
    film.rewind()
    return 0


def _refuse_cut_off(film: Film) -> None:
    """Notice a file whose header or index promises more than there is."""
    video = film.video
    index, size = video.index_entries, film.container.size
    if len(index) and size:
        last = index[-1]
        if last.pos + last.size > size:
            raise undecodable(film.path, f"it is cut off: {size:,} bytes, of at least {last.pos + last.size:,}")
    # Only in AVI: the frames that an MP4 counts may be more than its edit list shows.
    rate, base, duration = video.average_rate, video.time_base, video.duration
    if not film.has_clock and rate and base and duration and video.frames / rate > duration * base + 1:
        held, promised = float(duration * base), float(video.frames / rate)
        raise undecodable(film.path, f"it is cut off: {held:.1f} s, of {promised:.1f} s")


@lru_cache(maxsize=4096)
def _scanned(path: str, changed: int) -> Timeline:
    """The timeline of a file whose header is silent; `changed` makes a rewritten file another one."""
    del changed
    with closing(_open_container(path)) as container:
        video = video_stream(container, path)
        stamps, frames, end = [], 0, 0.0
        for packet in container.demux():
            stamp = packet.dts if packet.pts is None else packet.pts
            own = packet.stream_index == video.index and packet.size > 0
            frames += own
            if stamp is None:
                continue
            seconds = float(packet.time_base)
            end = max(end, (stamp + (packet.duration or 0)) * seconds)
            if own:
                stamps.append(stamp * seconds)
        rate = float(video.average_rate or video.guessed_rate or video.base_rate or 25)
        promised = (container.duration or 0) / av.time_base
    if not frames:
        raise undecodable(path, "its video stream has no frames")
    if not stamps:  # a bare stream of pictures has no clock
        return Timeline(0.0, frames / rate, rate)
    if promised > end + max(1.0, 2 / rate):
        raise undecodable(path, f"it is cut off: {end:.1f} s, of {promised:.1f} s")
    first, last = min(stamps), max(stamps)
    if last > first:
        rate = (len(stamps) - 1) / (last - first)
    return Timeline(first, last - first + 1 / rate, rate)
