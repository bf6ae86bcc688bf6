"""An opened film or picture: its streams, its place in time, and what went wrong, in words."""

from __future__ import annotations

import io
import itertools
import math
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import av
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import ArgumentError, FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from zoo.data.decode import mpeg4
from zoo_registry.errors import DataError, Location, Problem, RunError, UndecodableMedia

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer

Media = str | os.PathLike[str] | bytes | BinaryIO
"""What can be opened: a path; a `file:`, `http:` or `https:` URI; the bytes of a file; a seekable file object."""

LARGEST_SIDE = 16384
"""Pixels. Beyond any camera; a header that says more is broken or hostile."""

NETWORK_TIME_LIMIT = 30.0
"""Seconds to wait for a server."""

_MENDING = frozenset(("h264", "hevc"))
"""Decoders that call it an error when films are entered at a keyframe that is none to the letter; others shall not
cover damage up."""

SMALLEST_PACKET = 6
"""Bytes of H.264 and HEVC that are too few for the header of a picture, its length in front of it."""

_LEADING_ELSEWHERE = frozenset(
    ("avisynth", "concat", "dash", "hls", "imf", "lavfi", "mlv", "rtp", "rtsp", "sap", "sdp", "vapoursynth", "vobsub")
)
"""Formats that hold no film but say where one is: in other files, or on the network."""

_GUESSING = frozenset(
    (
        "av1",
        "cavsvideo",
        "dirac",
        "h261",
        "h263",
        "h264",
        "hevc",
        "m4v",
        "mjpeg",
        "mpeg",
        "mpegvideo",
        "obu",
        "vc1",
        "vvc",
    )
)
"""Formats with few time stamps, or none: FFmpeg guesses their length, and the times of what follows a seek."""

# What a file holds decides its format, whatever its name; `%` in a picture's name is no pattern.
_OPEN_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(av.formats_available - _LEADING_ELSEWHERE)),
    "pattern_type": "none",
}
_URL_OPTIONS = {**_OPEN_OPTIONS, "protocol_whitelist": "http,https,tcp,tls"}
del _URL_OPTIONS["pattern_type"]

# The header of an MP4 says all that decoding needs. FFmpeg decodes its first frame all the same, which for a film of
# 1280 x 720 takes as long as ten frames of its clip, unless the decoder is told to skip it.
_MP4_OPTIONS = {"probesize": "4096"}
_MP4_STREAMS: Any = [{"skip_frame": "all"}] * 32  # PyAV declares a list of strings


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


@dataclass(frozen=True)
class Decoder:
    """What decodes films.

    Attributes:
        name: `pyav`, or `torchcodec` (the extra `torchcodec`, and FFmpeg's shared libraries on the machine).
        hardware: the kind of device that decodes, None for the processor: with `pyav` FFmpeg's name of one (`cuda`,
            `vaapi`, `videotoolbox`, `qsv`, ...), whose frames are copied to main memory; with `torchcodec` `cuda`,
            whose clips stay on the GPU, so that nothing but the process of the training can read them (`workers: 0`).
        time_limit: seconds of work on one film, from opening it to the last frame wanted of it, before it counts as
            undecodable.

    Raises:
        DataError: a decoder or a kind of device that nobody knows here, or a limit that is no time.
    """

    name: Literal["pyav", "torchcodec"] = "pyav"
    hardware: str | None = None
    time_limit: float = 120.0

    @property
    def stays_on_device(self) -> bool:
        """Whether clips are left where they were decoded, on a GPU."""
        return self.name == "torchcodec" and self.hardware is not None

    def __post_init__(self) -> None:
        devices = {"torchcodec": ["cuda"], "pyav": hwdevices_available()}
        if self.name not in devices:
            raise DataError(f"no decoder is called {self.name!r}", hint=f"there are {' and '.join(sorted(devices))}")
        if self.hardware is not None and self.hardware not in devices[self.name]:
            there = ", ".join(devices[self.name]) or "none"
            raise DataError(f"{self.name} decodes on no device called {self.hardware!r}", hint=f"it knows {there}")
        if not self.time_limit > 0:
            raise DataError(f"the time limit of a decoder is {self.time_limit} s", hint="give a number above 0")


@dataclass
class Film:
    """An open file and its best video stream; `zoo.data.decode.frames.frames_at` reads from it.

    Attributes:
        path: as the user wrote it.
        media: what was opened, to open it again.
        container: the open file.
        video: the stream that is decoded.
        decoder: what decodes it.
        timeline: when its frames are displayed.
        lag: in a file without a clock, how many packets later than its own a frame leaves the decoder.
        at_start: nothing was decoded yet.
        deadline: when patience ends, on the clock of `time.monotonic`.
    """

    path: str
    media: Media
    container: InputContainer
    video: VideoStream
    decoder: Decoder
    timeline: Timeline = Timeline(0.0, 1 / 25, 25.0)
    lag: int = 0
    at_start: bool = True
    deadline: float = math.inf
    _packets: Iterator[Packet[VideoStream]] | None = None

    @cached_property
    def reorders(self) -> bool:
        """Whether packets get their times from the order of their pictures; see `zoo.data.decode.mpeg4`."""
        return self.container.format.name == "avi" and self.video.codec_context.name == mpeg4.CODEC

    @cached_property
    def has_clock(self) -> bool:
        """Whether packets say when they are displayed; AVI knows only the order in which they are stored."""
        return self.container.format.name != "avi" or self.reorders

    @property
    def indexed(self) -> bool:
        """Whether the file says where its keyframes are."""
        return self.searchable and len(self.video.index_entries) > 0

    @property
    def searchable(self) -> bool:
        """Whether times are right after a seek."""
        return self.video.start_time is not None and self.container.format.name not in _GUESSING

    def stamp(self, packet: Packet[VideoStream]) -> int | None:
        """When a packet is displayed, in units of the stream's time base; by its place in the file without a clock."""
        return packet.pts if self.has_clock and packet.pts is not None else packet.dts

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Packets of the video stream from where the film stands."""
        self.at_start = False
        if self._packets is None:
            self._packets = self._read()
        return self._packets

    def watched_packets(self) -> Iterator[Packet[VideoStream]]:
        """The same, as long as the time limit is not passed.

        Raises:
            UndecodableMedia: it is.
        """
        for number, packet in enumerate(self.packets()):
            if number % 64 == 0:
                self.check_time()
            yield packet

    def first_packet(self) -> Packet[VideoStream] | None:
        """The packet that `packets` gives next; the film stays where it is."""
        packets = self._packets or self._read()
        first = next(packets, None)
        self._packets = packets if first is None else itertools.chain([first], packets)
        return first

    def seek(self, seconds: float) -> None:
        """Go to a keyframe stored at or before a time on the stream's clock.

        Raises:
            FFmpegError: the format cannot seek; nothing has moved.
        """
        self.container.seek(int(seconds / float(self.video.time_base or 1)), stream=self.video)
        self._packets, self.at_start = None, False

    def close(self) -> None:
        """Close the file. Its decoder's memory is free at once: nothing is left that refers to itself."""
        self._packets = None
        self.container.close()

    def rewind(self) -> None:
        """Go back to the first packet, also in files that cannot seek."""
        if not self.at_start:
            self.container.close()
            self.container = _open_container(self.media, self.decoder)
            self.video = video_stream(self.container, self.path)
            self._packets, self.at_start = None, True

    def keyframe_between(self, before: float, after: float) -> bool:
        """Whether the file's index has a keyframe stored well after one time, at or before another."""
        index, base = self.video.index_entries, float(self.video.time_base or 0)
        if not self.indexed or not base:
            return False
        found = index.search_timestamp(int(after / base))
        return found >= 0 and index[found].timestamp * base > before

    def be_patient(self) -> None:
        """Let the time limit begin anew: who reads a long film frame by frame got one."""
        self.deadline = time.monotonic() + self.decoder.time_limit

    def check_time(self) -> None:
        """Give up on a film that takes too long.

        Raises:
            UndecodableMedia: the deadline has passed.
        """
        refuse_after(self.deadline, self.path, self.decoder)

    def _read(self) -> Iterator[Packet[VideoStream]]:
        packets = self._with_pictures()
        return mpeg4.in_display_order(packets, self.video) if self.reorders else packets

    def _with_pictures(self) -> Iterator[Packet[VideoStream]]:
        """Packets that hold something to decode; PyAV ends every stream with a packet of nothing, without a time."""
        least = SMALLEST_PACKET if self.video.codec_context.name in _MENDING else 1
        fills_gaps = self.container.format.name == "avi"
        for packet in self.container.demux(self.video):
            size = packet.size
            if size < least and packet.dts is not None and not fills_gaps:
                seconds = float(packet.dts * packet.time_base) - self.timeline.origin
                raise undecodable(self.path, f"a packet at {seconds:.2f} s holds no picture")
            if size:
                yield packet


def undecodable(path: str | os.PathLike[str], reason: str, hint: str | None = None) -> UndecodableMedia:
    """The error of one file: `a.mp4: the file is empty`."""
    return UndecodableMedia(Problem(reason, Location(os.fspath(path)), hint))


def refuse_after(deadline: float, path: str, decoder: Decoder) -> None:
    """Give up on a file when a time on the clock of `time.monotonic` has passed.

    Raises:
        UndecodableMedia: it has.
    """
    if time.monotonic() > deadline:
        limit = f"decoding it takes longer than {decoder.time_limit:g} s"
        raise undecodable(path, limit, hint="`data.decoder.time_limit` is what a film may take")


@contextmanager
def open_film(media: Media, decoder: Decoder = Decoder()) -> Iterator[Film]:
    """Open a film or picture for reading; it is closed on leaving, whatever happens.

    Args:
        media: a path or URI, the bytes of a file, or a seekable binary file object, which stays open.
        decoder: what decodes it.

    Raises:
        UndecodableMedia: the file is missing, empty, cut off, absurdly large or holds no picture. Errors of the decoder
            inside the `with` block are put in words too.
    """
    _refuse_no_media(media)
    if not isinstance(decoder, Decoder):
        raise DataError(f"a decoder should be a zoo.data.Decoder, not {decoder!r}", hint='Decoder("torchcodec")')
    name = media_name(media)
    with decoder_errors_in_words(media), closing(_open_container(media, decoder)) as container:
        film = Film(name, media, container, video_stream(container, name), decoder)
        film.be_patient()
        try:
            film.timeline = _timeline(film)
            film.lag = _lag(film)
            yield film
        finally:
            film.close()


@contextmanager
def decoder_errors_in_words(media: Media) -> Iterator[None]:
    """Turn what the decoder raises into `UndecodableMedia`."""
    try:
        yield
    except FFmpegError as error:
        raise undecodable(media_name(media), _reason(media, error)) from error


def media_name(media: Media) -> str:
    """What to call a film in messages.

    Example:
        >>> media_name("file:a.mp4"), media_name(b"....")
        ('a.mp4', '4 bytes in memory')
    """
    if isinstance(media, bytes):
        return f"{len(media):,} bytes in memory"
    if isinstance(media, str | os.PathLike):
        return os.fspath(media).removeprefix("file:")
    return str(getattr(media, "name", "a file object"))


def open_container(media: Media) -> InputContainer:
    """Open a file for reading, by its plain path or from memory.

    Raises:
        UndecodableMedia: the file is missing, empty or of no known format.
    """
    with decoder_errors_in_words(media):
        return _open_container(media, quick=False)


def _refuse_no_media(media: object) -> None:
    """Notice what is no film before FFmpeg does."""
    if isinstance(media, str | os.PathLike):
        if not os.fspath(media) or "\0" in str(media):
            raise DataError(f"a film needs a path, not {os.fspath(media)!r}")
    elif not isinstance(media, bytes) and not (hasattr(media, "read") and hasattr(media, "seek")):
        raise DataError(
            f"a film should be a path, an address, bytes or a file object, not {type(media).__name__}",
            hint="one film at a time",
        )


def is_url(media: Media) -> bool:
    """Whether a film lies on a server."""
    return isinstance(media, str) and media.startswith(("http://", "https://"))


def _open_container(media: Media, decoder: Decoder = Decoder(), quick: bool = True) -> InputContainer:
    device = decoder.hardware if decoder.name == "pyav" else None
    if is_url(media):
        return _av_open(media, _URL_OPTIONS, timeout=NETWORK_TIME_LIMIT, device=device)
    source: str | BinaryIO
    if isinstance(media, str | os.PathLike):
        # The prefix keeps names such as `concat:x` or `a:b.mp4` from being read as protocols.
        source = f"file:{media_name(media)}"
    else:
        source = io.BytesIO(media) if isinstance(media, bytes) else media
    kind = _format_in(source)
    if quick and kind == "mp4":
        options = _OPEN_OPTIONS | _MP4_OPTIONS
        with suppress(ValueError):  # another format whose first bytes happen to be those of an MP4
            container = _av_open(source, options, format=kind, stream_options=_MP4_STREAMS, device=device)
            films = container.streams.video
            if len(films) == 1 and films[0].duration is not None:
                return container
            container.close()  # a fragmented file, or several films in one: packets have to say what is in it
    if not isinstance(source, str):
        source.seek(0)
    return _av_open(source, _OPEN_OPTIONS, format=kind, device=device)


def _av_open(source: Any, options: dict[str, str], *, device: str | None, **more: Any) -> InputContainer:
    accelerator = None if device is None else HWAccel(device)
    try:
        container: InputContainer = av.open(
            source, "r", metadata_errors="ignore", options=options, hwaccel=accelerator, **more
        )
    except FFmpegError:
        if device is not None:
            _refuse_missing(device)
        raise
    return container


def _refuse_missing(device: str) -> None:
    """Tell a machine that lacks the device from a film that cannot be read.

    Raises:
        RunError: there is no such device, or it cannot be used.
    """
    try:
        HWAccel(device).create(Codec("h264", "r"))
    except FFmpegError as error:
        raise no_device(device, str(error.strerror)) from error
    except NotImplementedError:
        return  # it decodes other formats, and processors decode what it does not


def no_device(kind: str, reason: str) -> RunError:
    """The error of a machine that lacks a device."""
    return RunError(f"no device of kind {kind!r} can decode here: {reason}", hint="leave `data.decoder.hardware` out")


def _format_in(source: str | BinaryIO) -> str | None:
    """FFmpeg's name of a format that the first bytes tell, so that it need not try them all; None for the others.

    A file that cannot be read is for FFmpeg to complain about.
    """
    try:
        with _bytes_of(source) as file:
            file.seek(0)
            header = file.read(12)
            file.seek(0)
    except OSError:
        return None
    if header[4:8] == b"ftyp":
        return "mp4"
    return "avi" if header[:4] == b"RIFF" and header[8:] == b"AVI " else None


def _bytes_of(source: str | BinaryIO) -> AbstractContextManager[Any]:
    if isinstance(source, str):
        return open(source.removeprefix("file:"), "rb", buffering=0)
    return nullcontext(source)


def _reason(media: Media, error: FFmpegError) -> str:
    if is_url(media):
        return f"it cannot be read from its server ({error.strerror})"
    if isinstance(media, str | os.PathLike) and (reason := _reason_of_file(Path(media_name(media)))):
        return reason
    if media == b"":
        return "there are no bytes in it"
    if isinstance(error, ArgumentError) and _is_text(
        media
    ):  # what FFmpeg answers for a format that is not on its whitelist
        return "it is no film but leads to other files, which are not opened (a playlist such as ffconcat or m3u8)"
    during = error.filename or ""
    if during.endswith("()"):
        return f"its pictures are damaged or cut off ({error.strerror}, {during})"
    return f"no film or picture that can be decoded, or cut off before its index ({error.strerror})"


def _is_text(media: Media) -> bool:
    """Whether it begins like a list of files: pictures and films have bytes that no text has."""
    if isinstance(media, str | os.PathLike):
        with open(media_name(media), "rb") as file:
            begin = file.read(64)
    else:
        begin = media[:64] if isinstance(media, bytes) else b""
    return bool(begin) and all(byte >= 32 or byte in b"\t\r\n" for byte in begin)


def _reason_of_file(file: Path) -> str | None:
    """Why nothing can be read from a file, None when the reason lies in what it holds."""
    if not file.exists():
        return "there is no such file"
    if file.is_dir():
        return "it is a folder"
    if not os.access(file, os.R_OK):
        return "no permission to read it"
    return "the file is empty" if file.stat().st_size == 0 else None


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
    if context is None:
        raise undecodable(path, "its header is damaged or cut off: nothing says how its pictures are coded")
    if max(context.width, context.height) > LARGEST_SIDE:
        size = f"{context.width} x {context.height}"
        raise undecodable(path, f"its header claims {size} pixels, more than {LARGEST_SIDE} on a side")
    if context.name not in _MENDING:
        context.options = {"err_detect": "explode"}
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
    if video.duration is None or video.time_base is None or film.container.format.name in _GUESSING:
        media = film.media
        if isinstance(media, str | os.PathLike) and not is_url(media):
            return _scanned_once(film.path, os.stat(film.path).st_mtime_ns, film.decoder)
        return _scanned(media, film.decoder)
    _refuse_cut_off(film)
    first = film.first_packet()
    if first is None:
        raise undecodable(film.path, "its video stream has no frames")
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
    if film.container.format.name == "avi" and rate and base and duration:
        held, promised = duration * float(base), video.frames / float(rate)
        if promised > held + 1:
            raise undecodable(film.path, f"it is cut off: {held:.1f} s, of {promised:.1f} s")


@lru_cache(maxsize=4096)
def _scanned_once(path: str, changed: int, decoder: Decoder) -> Timeline:
    """The timeline of a file on disk; `changed` makes a rewritten file another one."""
    del changed
    return _scanned(path, decoder)


def _scanned(media: Media, decoder: Decoder) -> Timeline:
    """The timeline of a film whose header is silent, by reading all of its packets."""
    path = media_name(media)
    deadline = time.monotonic() + decoder.time_limit
    with closing(_open_container(media)) as container:
        video = video_stream(container, path)
        stamps, frames, end = [], 0, 0.0
        for number, packet in enumerate(container.demux()):
            if number % 64 == 0:
                refuse_after(deadline, path, decoder)
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
