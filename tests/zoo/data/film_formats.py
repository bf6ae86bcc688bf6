"""Films of every format that turns up in data sets; each frame says its own number in bars that survive any codec.

The number is in the pixels, and the writer knows when it is displayed: so the right frame for a time is known without
asking any decoder.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

MILLISECONDS = Fraction(1, 1000)
BITS = 8
CONTAINERS_BY_SUFFIX = {".hevc": "hevc", ".h264": "h264", ".m4v": "m4v", ".mjpg": "mjpeg"}


@dataclass(frozen=True)
class NumberedFilm:
    """A film on disk, and what a viewer sees.

    Attributes:
        path: of the file.
        times: when each frame is displayed, in seconds from the first one; ascending.
        numbers: which frame that is.
        size: (height, width) as displayed, in pixels.
        seconds: from the first frame to the end of the last.
        turned: quarter turns, counter-clockwise, from the stored picture to the displayed one.
        mirrored: left and right are exchanged after that.
    """

    path: Path
    times: tuple[float, ...]
    numbers: tuple[int, ...]
    size: tuple[int, int]
    seconds: float
    turned: int = 0
    mirrored: bool = False

    def at(self, seconds: float) -> int:
        """The number of the frame on display at a time."""
        return self.numbers[max(0, bisect_right(self.times, seconds) - 1)]

    def edge_near(self, seconds: float, within: float = 0.0015) -> bool:
        """Whether two frames change near a time, so that rounded time stamps may show either."""
        return any(abs(seconds - edge) < within for edge in self.times[1:])

    def displayed(self, stored_hwc: np.ndarray) -> np.ndarray:
        """A stored picture as a viewer sees it."""
        shown = np.rot90(stored_hwc, self.turned)
        return shown[:, ::-1] if self.mirrored else shown

    def as_stored(self, displayed_hwc: np.ndarray) -> np.ndarray:
        """The opposite."""
        shown = displayed_hwc[:, ::-1] if self.mirrored else displayed_hwc
        return np.rot90(shown, -self.turned)


def picture(number: int, height: int, width: int) -> np.ndarray:
    """A (height, width, 3) frame: above the number's bits from left to right, below their opposites, some texture."""
    rows, columns = np.mgrid[:height, :width]
    bit = (number >> (BITS - 1 - columns * BITS // width)) & 1
    bright = bit ^ (rows >= height // 2)
    texture = (rows * 3 + columns * 5 + number * 7) % 32  # moves, so that frames really refer to each other
    tint = np.stack([texture, 16 - texture // 2, texture // 4], axis=-1)
    return (40 + 150 * bright[..., None] + tint).astype(np.uint8)


def number_of(picture_hwc: np.ndarray) -> int | None:
    """Which frame a picture is; None where its bars contradict each other: garbage, or a mixture of two frames."""
    height, width = picture_hwc.shape[:2]
    grey = np.asarray(picture_hwc).astype(float).mean(axis=-1)
    columns = [(2 * at + 1) * width // (2 * BITS) for at in range(BITS)]
    above, below = (
        [grey[row - height // 16 : row + height // 16 + 1, column - 1 : column + 2].mean() > 128 for column in columns]
        for row in (height // 4, 3 * height // 4)
    )
    if any(one == other for one, other in zip(above, below, strict=True)):
        return None
    return int("".join(str(int(one)) for one in above), 2)


def write_film(
    path: Path,
    codec: str = "libx264",
    frames: int = 48,
    *,
    size: tuple[int, int] = (64, 96),
    rate: Fraction | int = 25,
    times: Sequence[int] | None = None,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    prepare: Callable = lambda container: None,
    adjust: Callable = lambda stream: None,
    target: io.IOBase | None = None,
    container_format: str | None = None,
    draw: Callable[[int, int, int], np.ndarray] = picture,
) -> NumberedFilm:
    """Write a numbered film.

    Args:
        path: of the file.
        codec: FFmpeg's name of the encoder; without it the test is skipped.
        frames: how many, up to 256.
        size: (height, width) in pixels.
        rate: frames per second.
        times: presentation times in milliseconds, for a variable frame rate or a late start.
        pix_fmt: of the encoded pictures.
        options: of the encoder.
        container_options: of the muxer.
        prepare: called with the container before the video stream is added; what it returns is called with the
            container before the frames are written.
        adjust: called with the video stream before the first frame.
        target: what is written to instead of opening the path.
        container_format: FFmpeg's name of the muxer, where the suffix does not say it.
        draw: makes the picture of a number.
    """
    require_encoder(codec)
    height, width = size
    destination = str(path) if target is None else target
    container_format = container_format or CONTAINERS_BY_SUFFIX.get(path.suffix)
    with av.open(destination, "w", format=container_format, options=container_options or {}) as container:
        first = prepare(container)
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
        stream.codec_context.thread_count = 1
        stream.options = {**DEFAULTS.get(codec, {}), **(options or {})}
        if codec not in DEFAULTS:
            stream.bit_rate = 4_000_000
        if times is not None:
            stream.codec_context.time_base = MILLISECONDS
        adjust(stream)
        if first is not None:
            first(container)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(number, height, width), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], MILLISECONDS
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if times is None:
        shown = [float(number / Fraction(rate)) for number in range(frames)]
    else:
        shown = [(time - times[0]) / 1000 for time in times]
    last = shown[-1] - shown[-2] if times is not None and frames > 1 else float(1 / Fraction(rate))
    return NumberedFilm(path, tuple(shown), tuple(range(frames)), size, shown[-1] + last)


DEFAULTS = {
    "libx264": {"crf": "12", "preset": "veryfast"},
    "libx265": {"crf": "12", "preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"crf": "5", "preset": "10", "svtav1-params": "lp=1"},
    "gif": {},
    "png": {},
    "apng": {},
    "ffv1": {},
}


def require_encoder(codec: str) -> None:
    """Skip a test where PyAV was built without an encoder."""
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec} encoder here")
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"PyAV has no {codec} encoder here")


def copy_packets(source: Path, path: Path, change: Callable[[list], Iterable], **options: str) -> None:
    """Copy the video stream of a film without its encoder; `change` says which packets, in which order."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in change([packet for packet in old.demux(old.streams.video[0]) if packet.size]):
            packet.stream = stream
            new.mux(packet)


# Time: clocks, edit lists, missing stamps ----------------------------------------------------------------------------

UNEVEN = [0, 40, 80, 480, 500, 520, 560, 1000, 1040, 1080, 1120, 1500, 1501, 1540, 1580, 2100, 2140, 2180, 2220, 2300]
"""Milliseconds. From 1 ms to 520 ms between frames."""


def uneven(suffix: str, **rest):
    def write(folder: Path) -> NumberedFilm:
        return write_film(folder / f"uneven{suffix}", frames=len(UNEVEN), times=UNEVEN, **rest)

    return write


def late(suffix: str, by: int, **rest):
    def write(folder: Path) -> NumberedFilm:
        return write_film(folder / f"late{suffix}", frames=40, times=[by + 40 * at for at in range(40)], **rest)

    return write


def edit_list(entries: Sequence[tuple[int, int]], *, keyframes_every: int = 12, b_frames: int = 2):
    """An mp4 whose edit list shows parts (first frame, number of frames) of it (ISO/IEC 14496-12, 8.6.6)."""

    def write(folder: Path) -> NumberedFilm:
        options = {"g": str(keyframes_every), "bf": str(b_frames)}
        film = write_film(folder / "edited.mp4", frames=60, rate=5, options=options)
        content = bytearray(film.path.read_bytes())
        at = content.index(b"elst")
        _, _, count, _, media_time = struct.unpack_from(">4sIIIi", content, at)
        assert count == 1
        ticks = 10240 // 5  # of the track's clock, a frame
        rows = b"".join(
            struct.pack(">IiI", frames * 1000 // 5, media_time + first * ticks, 1 << 16) for first, frames in entries
        )
        content[at + 12 : at + 24] = rows
        grown = len(rows) - 12
        for box in (b"elst", b"edts", b"trak", b"moov"):  # those around it; all lie behind the pictures
            place = content.index(box) - 4
            struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] + grown)
        struct.pack_into(">I", content, at + 8, len(entries))
        film.path.write_bytes(content)
        numbers = tuple(number for first, frames in entries for number in range(first, first + frames))
        times = tuple(at / 5 for at in range(len(numbers)))
        return NumberedFilm(film.path, times, numbers, film.size, len(numbers) / 5)

    return write


def avi_with_dropped_frames(folder: Path) -> NumberedFilm:
    """AVI has no time stamps: where frames were dropped while recording it stores empty ones."""
    places = [0, 1, 2, 6, 7, 8, 9, 15, 16, 17, 18, 19, 30, 31, 32, 33, 34, 35, 36, 37]
    path = folder / "dropped.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"g": "6"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.bit_rate = 4_000_000
        for number, place in enumerate(places):
            frame = av.VideoFrame.from_ndarray(picture(number, 64, 96), format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return NumberedFilm(path, tuple(at / 25 for at in places), tuple(range(20)), (64, 96), 38 / 25)


def mkv_to_nowhere(folder: Path) -> NumberedFilm:
    """Recorded live: neither length nor index (Matroska's Duration and Cues)."""
    path = folder / "live.mkv"
    with OnlyForwards(path) as pipe:
        return write_film(
            path,
            frames=60,
            container_options={"live": "1"},
            target=pipe,
            container_format="matroska",
            options={"g": "12"},
        )


class OnlyForwards(io.RawIOBase):
    """A pipe: what was written cannot be changed any more."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, data) -> int:
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()
        super().close()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


# DivX: B-frames in AVI -----------------------------------------------------------------------------------------------


def packed_divx(folder: Path) -> NumberedFilm:
    """B-frames as DivX 5 stored them: behind the frame they refer to, in one packet; later a packet that says nothing.

    Source: ISO/IEC 14496-2, 6.2.5 for the headers; user data such as `DivX503b1393p` marks such a stream.
    """
    plain = write_film(folder / "plain.avi", "mpeg4", frames=40, options={"bf": "1", "g": "12"})

    def pack(packets: list) -> Iterable:
        units = [(bytes(packet), packet.is_keyframe) for packet in packets]
        user_data = b"\x00\x00\x01\xb2DivX503b1393p"
        packed: list[tuple[bytes, bool]] = []
        at = 0
        while at < len(units):
            data, key = units[at]
            if key:
                vop = data.index(b"\x00\x00\x01\xb6")
                data = data[:vop] + user_data + data[vop:]
            follows_b = at + 1 < len(units) and coding_type(units[at + 1][0]) == 2
            packed.append((data + units[at + 1][0] if follows_b else data, key))
            if follows_b:
                packed.append((NOT_CODED, False))
            at += 1 + follows_b
        for place, (data, key) in enumerate(packed):
            packet = av.Packet(data)
            packet.dts = packet.pts = place
            packet.time_base = Fraction(1, 25)
            packet.is_keyframe = key
            yield packet

    path = folder / "packed.avi"
    copy_packets(plain.path, path, pack)
    return NumberedFilm(path, plain.times, plain.numbers, plain.size, plain.seconds)


NOT_CODED = bytes([0x00, 0x00, 0x01, 0xB6, 0b01010000, 0b01011111, 0xFF])[:7]
"""A P picture (01) of this second (0, marker 1), five bits of time, a marker, and 0: nothing coded, show what was."""


def coding_type(packet: bytes) -> int:
    """0, 1, 2 for an I, P or B picture of MPEG-4."""
    return packet[packet.index(b"\x00\x00\x01\xb6") + 4] >> 6


# Pixels: sizes, depths, orientation ----------------------------------------------------------------------------------


def turned(degrees: int, mirrored: bool = False):
    """A film whose header says to turn it, counter-clockwise."""

    def write(folder: Path) -> NumberedFilm:
        def adjust(stream) -> None:
            stream.set_display_rotation(degrees, hflip=mirrored)

        film = write_film(folder / f"turned{degrees}.mp4", frames=40, adjust=adjust)
        size = film.size[::-1] if degrees % 180 else film.size
        return replace(film, size=size, turned=degrees // 90, mirrored=mirrored)

    return write


# Other streams -------------------------------------------------------------------------------------------------------


def silence_first(container):
    """Adds a sound stream in front of the pictures."""
    sound = container.add_stream("aac", rate=44100)

    def write(container) -> None:
        for at in range(0, 88200, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, at, Fraction(1, 44100)
            container.mux(sound.encode(frame))
        container.mux(sound.encode())

    sound.layout = "mono"
    return write


def subtitles_first(container):
    """Adds a text stream in front of the pictures, with a line that lasts longer than the film."""
    source = av.open(io.BytesIO(b"1\n00:00:00,000 --> 00:00:05,000\na line\n"), format="srt")
    text = container.add_stream_from_template(source.streams[0])

    def write(container) -> None:
        with source:
            for packet in source.demux():
                if packet.size:
                    packet.stream = text
                    container.mux(packet)

    return write


def cover_first(container):
    """Adds a cover picture, larger than the film, in front of it."""
    from av.stream import Disposition

    cover = container.add_stream("mjpeg", rate=1)
    cover.height, cover.width, cover.pix_fmt = 480, 640, "yuvj420p"
    cover.disposition = Disposition.attached_pic

    def write(container) -> None:
        frame = av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8), format="rgb24").reformat(
            format="yuvj420p"
        )
        for packet in [*cover.encode(frame), *cover.encode()]:
            packet.pts = packet.dts = 0
            container.mux(packet)

    return write


def small_film_first(container):
    """Adds another, smaller film in front of it."""
    other = container.add_stream("libx264", rate=10)
    other.height, other.width, other.pix_fmt = 32, 32, "yuv420p"

    def write(container) -> None:
        for _ in range(10):
            container.mux(other.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(other.encode())

    return write


# Pictures ------------------------------------------------------------------------------------------------------------


def animation(suffix: str):
    """GIF, animated PNG or WebP with a duration for each picture, written by Pillow; half transparent where it can."""

    def write(folder: Path) -> NumberedFilm:
        from PIL import Image

        path = folder / f"animation{suffix}"
        durations = [100, 40, 300, 100, 500, 60, 100, 100, 250, 100]
        pictures = [Image.fromarray(picture(number, 64, 96)) for number in range(10)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0)
        starts = tuple(sum(durations[:at]) / 1000 for at in range(10))
        return NumberedFilm(path, starts, tuple(range(10)), (64, 96), sum(durations) / 1000)

    return write


# The table -----------------------------------------------------------------------------------------------------------


def plain(name: str, *args, **kwargs):
    def write(folder: Path) -> NumberedFilm:
        return write_film(folder / name, *args, **kwargs)

    return write


OPEN_GOP = {"g": "8", "keyint_min": "8", "bf": "3", "sc_threshold": "0", "x264-params": "open-gop=1:b-adapt=0"}
B_PYRAMID = {"g": "30", "bf": "7", "x264-params": "b-adapt=0:b-pyramid=normal:ref=5:scenecut=0"}
BROAD_B = {"g": "40", "bf": "16", "x264-params": "b-adapt=0:b-pyramid=none:scenecut=0"}
HEVC_GOPS = "log-level=none:keyint=10:min-keyint=10:scenecut=0:bframes=4:b-adapt=0"

FILMS: dict[str, Callable[[Path], NumberedFilm]] = {
    "H.264 in MP4": plain("film.mp4", options={"g": "12"}),
    "H.264 in MP4, index in front": plain("fast.mp4", container_options={"movflags": "faststart"}),
    "H.264 in MOV": plain("film.mov"),
    "H.264 in MKV": plain("film.mkv", options={"g": "12"}),
    "H.264 in MPEG-TS": plain("film.ts", options={"g": "12"}),
    "H.264 in FLV": plain("film.flv", options={"g": "12"}),
    "H.264 in fragmented MP4": plain(
        "fragments.mp4",
        frames=60,
        options={"g": "12"},
        container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    ),
    "H.264 in AVI": plain("h264.avi", options={"g": "12", "bf": "2"}),
    "H.264 in AVI, deep pyramid": plain("h264deep.avi", options=B_PYRAMID, frames=60),
    "H.264 without a container": plain("film.h264", options={"g": "12", "bf": "2"}),
    "H.264, no index and no length": mkv_to_nowhere,
    "H.264, one keyframe": plain("long.mp4", frames=250, options={"g": "1000", "bf": "3", "sc_threshold": "0"}),
    "H.264, keyframes only": plain("intra.mp4", options={"g": "1"}),
    "H.264, deep B pyramid": plain("pyramid.mp4", options=B_PYRAMID, frames=60),
    "H.264, sixteen B-frames in a row": plain("broad.mp4", options=BROAD_B, frames=60),
    "H.264, open GOPs": plain("open.mp4", options=OPEN_GOP, frames=60),
    "H.264, open GOPs in TS": plain("open.ts", options=OPEN_GOP, frames=60),
    "H.264, refreshed bit by bit": plain("refresh.mp4", options={"g": "20", "intra-refresh": "1"}, frames=80),
    "H.264, interlaced": plain("fields.mp4", options={"flags": "+ildct+ilme", "x264-params": "tff=1", "g": "12"}),
    "H.264, 10 bits": plain("ten.mp4", pix_fmt="yuv420p10le", options={"g": "12"}),
    "H.264, 4:4:4, odd size": plain("odd.mp4", pix_fmt="yuv444p", size=(51, 67), options={"g": "12"}),
    "H.264, size that is no multiple of 16": plain("cropped.mp4", size=(58, 90), options={"g": "12"}),
    "H.265 in MP4": plain("h265.mp4", "libx265", options={"x265-params": HEVC_GOPS + ":open-gop=0"}),
    "H.265, open GOPs": plain("h265open.mp4", "libx265", options={"x265-params": HEVC_GOPS + ":open-gop=1"}, frames=60),
    "H.265, open GOPs in TS": plain(
        "h265open.ts", "libx265", options={"x265-params": HEVC_GOPS + ":open-gop=1"}, frames=60
    ),
    "H.265 in MKV, 10 bits": plain(
        "h265.mkv", "libx265", pix_fmt="yuv420p10le", options={"x265-params": HEVC_GOPS + ":open-gop=1"}
    ),
    "H.265 without a container": plain("film.hevc", "libx265", options={"x265-params": HEVC_GOPS}),
    "AV1 in MP4": plain("av1.mp4", "libsvtav1", size=(128, 192), options={"g": "16"}),
    "AV1 in MKV, 10 bits": plain("av1.mkv", "libsvtav1", size=(128, 192), pix_fmt="yuv420p10le", options={"g": "16"}),
    "AV1 in WebM": plain("av1.webm", "libsvtav1", size=(128, 192), options={"g": "16"}),
    "VP9 in WebM, hidden frames": plain(
        "vp9.webm", "libvpx-vp9", options={"g": "16", "auto-alt-ref": "1", "lag-in-frames": "12", "cpu-used": "8"}
    ),
    "VP9 in MP4, odd size": plain("vp9.mp4", "libvpx-vp9", size=(51, 67), options={"g": "16", "cpu-used": "8"}),
    "VP8 in WebM": plain("vp8.webm", "libvpx", options={"g": "16", "auto-alt-ref": "1", "lag-in-frames": "12"}),
    "MPEG-4 in AVI": plain("mpeg4.avi", "mpeg4", options={"g": "12"}),
    "MPEG-4 in AVI, B-frames": plain("mpeg4b.avi", "mpeg4", options={"g": "12", "bf": "2"}),
    "MPEG-4 in AVI, odd size": plain("mpeg4odd.avi", "mpeg4", size=(51, 67), options={"g": "12"}),
    "MPEG-4 in AVI, B-frames packed": packed_divx,
    "MPEG-4 in AVI, dropped frames": avi_with_dropped_frames,
    "MPEG-4 in MP4, B-frames": plain("mpeg4.mp4", "mpeg4", options={"g": "12", "bf": "2"}),
    "MPEG-4 without a container": plain("film.m4v", "mpeg4", options={"g": "12", "bf": "2"}),
    "MPEG-2 in a program stream": plain(
        "film.mpg", "mpeg2video", options={"g": "12", "bf": "2"}, container_format="vob"
    ),
    "MPEG-2 in TS, interlaced": plain(
        "fields.ts", "mpeg2video", options={"g": "12", "bf": "2", "flags": "+ildct+ilme"}
    ),
    "MPEG-1": plain("film1.mpg", "mpeg1video", options={"g": "12", "bf": "2"}, container_format="mpeg"),
    "Motion JPEG in AVI": plain("mjpeg.avi", "mjpeg", pix_fmt="yuvj420p"),
    "Motion JPEG in MOV, odd size": plain("mjpeg.mov", "mjpeg", pix_fmt="yuvj420p", size=(51, 67)),
    "Motion JPEG without a container": plain("film.mjpg", "mjpeg", pix_fmt="yuvj420p"),
    "FFV1 in MKV, odd size": plain("ffv1.mkv", "ffv1", pix_fmt="yuv420p", size=(51, 67)),
    "ProRes in MOV": plain("prores.mov", "prores", pix_fmt="yuv422p10le"),
    "WMV in ASF": plain("film.wmv", "wmv2", options={"g": "12"}),
    "H.263 in 3GP": plain("film.3gp", "h263", size=(96, 128), options={"g": "12"}),
    "uneven times in MP4": uneven(".mp4", options={"g": "6", "bf": "2"}),
    "uneven times in MKV": uneven(".mkv", options={"g": "6", "bf": "2"}),
    "uneven times in WebM": uneven(".webm", codec="libvpx-vp9", options={"g": "6", "cpu-used": "8"}),
    "uneven times in TS": uneven(".ts", options={"g": "6", "bf": "2"}),
    "uneven times in FLV": uneven(".flv", options={"g": "6", "bf": "2"}),
    "late start in MP4": late(".mp4", 3000, options={"g": "10", "bf": "2"}),
    "late start in MKV": late(".mkv", 3000, options={"g": "10", "bf": "2"}),
    "late start in TS": late(".ts", 90_000, options={"g": "10", "bf": "2"}),
    "late start in fragmented MP4": late(
        ".mp4", 3000, options={"g": "10", "bf": "2"}, container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "no edit list, negative decoding times": plain(
        "negative.mp4", options={"g": "12", "bf": "2"}, container_options={"movflags": "negative_cts_offsets"}
    ),
    "an edit list that begins at a keyframe": edit_list([(12, 20)]),
    "an edit list that begins between keyframes": edit_list([(17, 30)]),
    "an edit list that begins long after a keyframe": edit_list([(37, 10)], keyframes_every=250),
    "an edit list of two parts": edit_list([(5, 10), (29, 12)], b_frames=0),
    "turned by 90 degrees": turned(90),
    "turned by 180 degrees": turned(180),
    "turned by 270 degrees": turned(270),
    "mirrored": turned(0, mirrored=True),
    "sound first": plain("sound.mp4", prepare=silence_first),
    "subtitles first": plain("text.mkv", frames=40, prepare=subtitles_first),
    "a cover picture first": plain("cover.mp4", prepare=cover_first),
    "a smaller film first": plain("two.mkv", prepare=small_film_first),
    "GIF": animation(".gif"),
    "animated PNG": animation(".apng"),
    "animated WebP": animation(".webp"),
}
