"""Where frames come from: a file, a camera, or an address; opened, and what went wrong in words."""

from __future__ import annotations

import errno
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
from av.error import ExitError, FFmpegError, InvalidDataError

from zoo.data.decode.film import Decoder, open_film, undecodable, video_stream
from zoo.data.decode.frames import frames_from
from zoo.streaming.mp4_on_server import index_out_of_reach, names_mp4
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

SCHEMES = ("http", "https", "rtsp", "rtsps")

_CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""FFmpeg's input device for the cameras of a system."""

_LEADING_ELSEWHERE = frozenset(
    ("avisynth", "concat", "dash", "imf", "lavfi", "mlv", "rtp", "sap", "sdp", "vapoursynth", "vobsub")
)
"""Formats that a server could lead us elsewhere with. HLS may: its parts are fetched by HTTP alone."""

_WEB = {
    "protocol_whitelist": "http,https,tcp,tls,crypto",
    "format_whitelist": ",".join(sorted(av.formats_available - _LEADING_ELSEWHERE)),
    "analyzeduration": "1000000",  # in µs: what is held back before the first frame
}
_RTSP = {
    "protocol_whitelist": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https",
    "rtsp_transport": "tcp",  # what UDP loses is damaged pictures
    "flags": "low_delay",
    "analyzeduration": "1000000",
}
_CAMERA: dict[str, str] = {}

_CLOCKLESS = frozenset(("h264", "hevc", "image2pipe", "jpeg_pipe", "m4v", "mjpeg", "mpjpeg", "png_pipe"))
"""Formats without time stamps, for which FFmpeg counts 25 frames per second: frames are displayed when they come."""

LIKELY_RATES = 1.0, 240.0
"""Frames per second. What headers of live sources say beyond that is no rate; 25 is as good a guess as any."""

NEAR_THE_END = 1.0
"""Seconds. A film on a server that stops as close to its end has ended; it was cut off where it stops before."""


@dataclass(frozen=True)
class Source:
    """A place that frames come from.

    Attributes:
        text: as the user wrote it.
        kind: a file ends, a camera and an address can be lost and come back.
    """

    text: str
    kind: Literal["file", "camera", "url"]

    @property
    def name(self) -> str:
        """What to call it in messages: without the password that an address may hold.

        Example:
            >>> Source("rtsp://me:secret@door.local/live", "url").name
            'rtsp://***@door.local/live'
        """
        return re.sub(r"//[^/]*@", "//***@", self.text) if self.kind == "url" else self.text


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame and when it is displayed, in seconds.

    Attributes:
        frame: as decoded.
        time: a film's from its beginning, others by a clock of their own; None where there is none.
        until: when the next one is; None where nobody can know yet.
    """

    frame: VideoFrame
    time: float | None
    until: float | None = None


@dataclass(frozen=True)
class Opened:
    """An open source.

    Attributes:
        rate: frames per second, as its header says.
        seconds: how long it lasts; None where nobody can know.
        ends: it is a film, over where its frames are; else what stops was lost.
        paced: frames can be had before they are due, so they have to be waited for in real time.
        frames: see `Moment`.
    """

    rate: float
    seconds: float | None
    ends: bool
    paced: bool
    frames: Iterator[Moment]


class Lost(Exception):
    """A source that was there and is no longer, in words; it may come back."""


def source_of(text: str | os.PathLike[str]) -> Source:
    """What a word for a source means.

    Args:
        text: a path, `camera:0`, `/dev/video0`, or an address (`http:`, `https:`, `rtsp:`, `rtsps:`).

    Raises:
        DataError: an address of another kind, or a camera that is not there.
        UndecodableMedia: a file that is not there, or no film.

    Example:
        >>> source_of("rtsp://door.local/live").kind
        'url'
    """
    text = os.fspath(text)
    scheme = text.partition("://")[0]
    if scheme not in (text, "file"):
        if scheme not in SCHEMES:
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise DataError(f"{text!r} is no address that can be streamed", hint=f"these can: {known}")
        return Source(text, "url")
    if text.startswith("camera:") or re.fullmatch(r"/dev/video\d+", text):
        _refuse_missing_camera(text)
        return Source(text, "camera")
    with open_film(text):
        return Source(text, "file")


@contextmanager
def opened(source: Source, *, timeout: float, start: float = 0.0) -> Iterator[Opened]:
    """Open a source; it is closed on leaving.

    Args:
        source: where frames come from.
        timeout: seconds to wait for an answer, and for every piece that follows.
        start: where to go on in a film on a server that was cut off, in seconds from its beginning.

    Raises:
        UndecodableMedia: a file that cannot be decoded, or that is not to the end.
        Lost: whatever is not a file does not answer, or does no longer.
    """
    if source.kind == "file":
        with open_film(source.text, Decoder(time_limit=math.inf)) as film:
            origin, timeline = film.timeline.origin, film.timeline
            times = ((time - origin, frame) for time, frame in frames_from(film, origin))
            moments = _looking_ahead(times, timeline.seconds, timeline.fps)
            yield Opened(timeline.fps, timeline.seconds, ends=True, paced=True, frames=moments)
        return
    with _losses_in_words("it cannot be reached"), _index_out_of_reach(source, timeout, start):
        connection = _open(source, timeout)
    with (
        _losses_in_words("the connection broke off"),
        closing(connection) as container,
        _index_out_of_reach(source, timeout, start, container),
    ):
        stream = video_stream(container, source.name)
        rate = _plausible(stream.average_rate or stream.guessed_rate or stream.base_rate)
        has_length = source.kind == "url" and container.size > 0  # as its server says; reading less is an error
        seconds = container.duration / av.time_base if has_length and container.duration is not None else None
        is_playlist = container.format.name == "hls"  # what has a length is the list
        ends = seconds is not None or (has_length and not is_playlist)
        if seconds is None:
            has_clock = container.format.name not in _CLOCKLESS
            moments = (Moment(frame, frame.time if has_clock else None) for frame in _frames(container, stream))
        else:
            moments = _looking_ahead(_from(container, stream, start, seconds), seconds, rate)
        yield Opened(rate, seconds, ends, ends or is_playlist, moments)


@contextmanager
def _index_out_of_reach(
    source: Source, timeout: float, start: float, container: InputContainer | None = None
) -> Iterator[None]:
    """Tell a film that cannot be played from its server from one that was lost.

    Raises:
        UndecodableMedia: it is such a film.
    """
    try:
        yield
    except FFmpegError as error:
        at_first = source.kind == "url" and not start and (isinstance(error, ExitError) or error.errno == errno.EIO)
        is_mp4 = names_mp4(source.text) if container is None else container.format.name.startswith("mov,mp4")
        if at_first and is_mp4 and index_out_of_reach(source.text, timeout):
            raise undecodable(
                source.name,
                "its index lies at its end, and its server sends no parts of files",
                hint="download it, or put its index first: ffmpeg -i FILM -c copy -movflags faststart OTHER",
            ) from error
        raise


def _plausible(rate: Fraction | None) -> float:
    """Frames per second, as a header says them, if they can be."""
    least, most = LIKELY_RATES
    return float(rate) if rate is not None and least <= rate <= most else 25.0


def _refuse_missing_camera(text: str) -> None:
    name = text.removeprefix("camera:")
    if not name:
        raise DataError(f"{text!r} does not say which camera", hint="the first one is camera:0")
    if sys.platform not in _CAMERAS:
        raise DataError(f"cameras are not known on {sys.platform}", hint="stream a file or an address")
    device = Path(_device(text))
    if sys.platform == "linux" and not device.exists():
        there = ", ".join(f"camera:{path.name.removeprefix('video')}" for path in sorted(Path("/dev").glob("video*")))
        raise DataError(f"there is no camera {name!r} ({device})", hint=f"this machine has {there or 'no camera'}")


def _device(text: str) -> str:
    """A camera as FFmpeg's input device calls it."""
    name = text.removeprefix("camera:")
    if sys.platform == "linux" and name.isdecimal():
        return f"/dev/video{name}"
    return f"video={name}" if sys.platform == "win32" else name


def _open(source: Source, timeout: float) -> InputContainer:
    limits = (timeout, timeout)
    if source.kind == "camera":
        device = _CAMERAS[sys.platform]
        return av.open(_device(source.text), "r", format=device, options=_CAMERA, timeout=limits)
    options = _RTSP if source.text.startswith("rtsp") else _WEB
    return av.open(source.text, "r", options=options, timeout=limits, metadata_errors="ignore")


@contextmanager
def _losses_in_words(eio: str) -> Iterator[None]:
    try:
        yield
    except FFmpegError as error:
        raise Lost(_reason(error, eio)) from error


def _reason(error: FFmpegError, eio: str) -> str:
    """What FFmpeg says, in words; of input and output errors it says no more than that."""
    if isinstance(error, ExitError):
        return "it does not answer in time"
    if isinstance(error, InvalidDataError):
        return f"what it sends cannot be played ({error.strerror})"
    if error.errno == errno.EIO:
        return eio
    said = str(error.strerror)  # such as `Connection refused` and `Server returned 404 Not Found`
    return said[:1].lower() + said[1:]


def _looking_ahead(frames: Iterator[tuple[float, VideoFrame]], seconds: float, rate: float) -> Iterator[Moment]:
    """Frames of a film, each when the next one is known: what a header says of their lengths need not be so."""
    shown: tuple[float, VideoFrame] | None = None
    for following in frames:
        if shown is not None:
            yield Moment(shown[1], shown[0], following[0])
        shown = following
    if shown is not None:
        yield Moment(shown[1], shown[0], max(seconds, shown[0] + 1 / rate))


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """All frames that can be decoded: damage on the way must not end a stream."""
    for packet in container.demux(stream):
        try:
            decoded = packet.decode()
        except InvalidDataError:
            continue
        yield from decoded


def _from(
    container: InputContainer, stream: VideoStream, start: float, seconds: float
) -> Iterator[tuple[float, VideoFrame]]:
    """Frames of a film on a server, from `start` to its end.

    Raises:
        Lost: they end before it does.
    """
    base = float(stream.time_base or 0)
    origin = (stream.start_time or 0) * base
    if start and base:
        container.seek(int((origin + start) / base), stream=stream)
    now = start
    for frame in _frames(container, stream):
        now = now if frame.time is None else frame.time - origin
        if now >= start:
            yield now, frame
    if now < seconds - NEAR_THE_END:
        raise Lost(f"it ends after {now:.1f} s of {seconds:.1f} s")
