"""What compression as a film leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from zoo_plugins.augment.degradation.drawn import Degradation, log_uniform, whole
from zoo_plugins.augment.degradation.on_cpu import as_bytes_on_cpu
from zoo_plugins.augment.ranges import in_order
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment

if TYPE_CHECKING:
    from av import Packet, VideoCodecContext, VideoFrame

Bitrate = Annotated[float, Range(ge=1, le=1_000_000)]
"""kbit/s; FFmpeg's encoders count bits in 32-bit numbers, and a rate beyond those ended the process."""

Encoder = Literal["libx264", "libx265", "mpeg4", "mpeg2video"]
_DECODERS = {"libx264": "h264", "libx265": "hevc", "mpeg4": "mpeg4", "mpeg2video": "mpeg2video"}
_WITH_CRF = ("libx264", "libx265")
# Pixels of a side. x265 opens with no fewer than 16, and wrote beyond its memory where a side was less than its largest
# block (PyAV 18.1, sizes such as 16x40, 24x40 and 32x48: "corrupted size vs. prev_size").
_LEAST = {"libx265": 64}
_OPTIONS = {
    # The same small clip came out of x264's macroblock tree in several ways (48x64: one call in ten).
    "libx264": {"preset": "veryfast", "mbtree": "0"},
    "libx265": {"preset": "veryfast", "x265-params": "log-level=error:pools=none:frame-threads=1"},
}


@dataclass(frozen=True)
class Rate:
    """How much a film may cost.

    Attributes:
        crf: constant rate factor of x264 and x265: 0 is lossless or nearly so, 51 the worst.
        bitrate: in kbit/s, when there is no constant rate factor.
    """

    crf: int | None = None
    bitrate: float | None = None


def video_codec(clip_cthw: Tensor, rate: Rate, encoder: Encoder = "libx264", fps: float = 25.0) -> Tensor:
    """The whole clip encoded as a film, in memory, and decoded again; YUV 4:2:0 of 8 bits in between.

    Sides are made even, as 4:2:0 needs, and at least as long as the encoder wants them, by repeating the last row and
    column; what was added is cut off again.

    Args:
        clip_cthw: RGB, uint8 0..255 or float 0..1.
        rate: how much the film may cost.
        encoder: FFmpeg's name.
        fps: frame rate of the film, which says what a bitrate is worth.

    Raises:
        ParameterError: the encoder cannot write such a film.
    """

    def encode_and_decode(frames_tchw: Tensor) -> Tensor:
        height, width = frames_tchw.shape[-2:]
        below, beside = (max(side + side % 2, _LEAST.get(encoder, 2)) - side for side in (height, width))
        if below or beside:
            frames_tchw = pad(frames_tchw, [0, beside, 0, below], mode="replicate")
        pictures = [
            torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[:, :height, :width]
            for frame in _decoded(_encoded(frames_tchw, rate, encoder, fps), encoder)
        ]
        return torch.stack(pictures)

    return as_bytes_on_cpu(clip_cthw, encode_and_decode)


def _opened(height_width: tuple[int, int], rate: Rate, encoder: Encoder, fps: float) -> VideoCodecContext:
    """An encoder that is ready to take pictures.

    Raises:
        ParameterError: it cannot write such a film.
    """
    from av import FFmpegError, VideoCodecContext

    context = VideoCodecContext.create(encoder, "w")
    context.height, context.width = height_width
    context.pix_fmt = "yuv420p"
    context.framerate = Fraction(fps).limit_denominator(1001)
    context.time_base = 1 / context.framerate
    context.thread_count = 1  # workers share the cores, and the result must not depend on their number
    options = dict(_OPTIONS.get(encoder, {}))
    if rate.crf is not None:
        options["crf"] = str(rate.crf)
    else:
        context.bit_rate = round((rate.bitrate or 0) * 1000)
    context.options = options
    try:
        context.open()
    except FFmpegError as error:
        raise ParameterError(
            f"{encoder} cannot write films of {height_width[0]}x{height_width[1]} at {fps:g} frames a second "
            f"(FFmpeg: {error.strerror})",
            hint="it knows 24, 25, 30, 50 and 60 frames a second, and simple parts and multiples of these"
            if encoder == "mpeg2video"
            else "choose another codec or fps",
        ) from error
    return context


def _encoded(frames_tchw: Tensor, rate: Rate, encoder: Encoder, fps: float) -> Iterator[Packet[Any]]:
    """The packets of a film, in decoding order."""
    from av import VideoFrame

    context = _opened((frames_tchw.shape[-2], frames_tchw.shape[-1]), rate, encoder, fps)
    for number, picture_hwc in enumerate(frames_tchw.permute(0, 2, 3, 1).contiguous().numpy()):
        frame = VideoFrame.from_ndarray(picture_hwc, format="rgb24")
        frame.pts, frame.time_base = number, context.time_base
        yield from context.encode(frame)
    yield from context.encode(None)


def _decoded(packets: Iterator[Packet[Any]], encoder: Encoder) -> Iterator[VideoFrame]:
    """The frames of a film, in the order in which they are shown."""
    from av import VideoCodecContext

    context = cast("VideoCodecContext", VideoCodecContext.create(_DECODERS[encoder], "r"))
    context.thread_count = 1
    for packet in packets:
        yield from context.decode(packet)
    yield from context.decode(None)


@dataclass(frozen=True, kw_only=True)
class VideoCodec(Degradation[Rate]):
    """See `random_video_codec`."""

    encoder: Encoder
    crf: tuple[int, int] | None
    bitrate: tuple[float, float] | None
    fps: float

    def draw(self, clip_bcthw: Tensor, generator: Generator) -> Sequence[Rate]:
        """What each sample may cost."""
        count = len(clip_bcthw)
        if self.bitrate:
            return [Rate(bitrate=kbit) for kbit in log_uniform(count, *self.bitrate, generator)]
        return [Rate(crf=crf) for crf in whole(count, *(self.crf or (18, 40)), generator)]

    def degrade(self, clip_cthw: Tensor, drawn: Rate) -> Tensor:
        """The clip as a film."""
        return video_codec(clip_cthw, drawn, self.encoder, self.fps)


def random_video_codec(
    *,
    codec: Encoder = "libx264",
    crf: tuple[Annotated[int, Range(ge=0, le=51)], Annotated[int, Range(ge=0, le=51)]] | None = None,
    bitrate: tuple[Bitrate, Bitrate] | None = None,
    fps: Annotated[float, Range(ge=0.1, le=1000)] = 25.0,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
) -> Augment:
    """Encode whole clips as films, in memory, and decode them again; target clips stay clean.

    It is done on the CPU: batches on a GPU are copied there and back, and the step waits for it. `where: worker` has it
    done before they get there.

    Args:
        codec: encoder: `libx264` (H.264), `libx265` (H.265), `mpeg4` (MPEG-4 part 2), `mpeg2video`.
        crf: least and greatest constant rate factor of H.264 and H.265, whole numbers; [18, 40] when neither this nor a
            bitrate is given. MPEG-4 and MPEG-2 need a bitrate.
        bitrate: least and greatest in kbit/s; the logarithm is uniform.
        fps: frame rate of the film, which says what a bitrate is worth.
        p: probability for each sample.

    Raises:
        ParameterError: both rates, none where one is needed, a pair in the wrong order, a frame rate that the encoder
            cannot write, or an encoder that PyAV's FFmpeg lacks.
    """
    import av

    if crf and bitrate:
        raise ParameterError("video_codec has both a crf and a bitrate", hint="leave one of them out")
    if not bitrate and codec not in _WITH_CRF:
        raise ParameterError(
            f"{codec} has no constant rate factor", hint="give a bitrate, such as bitrate: [100, 1000]"
        )
    for name, pair in {"crf": crf, "bitrate": bitrate}.items():
        if pair:
            in_order(name, *pair)
    if codec not in av.codec.codecs_available:
        raise ParameterError(
            f"the FFmpeg of PyAV {av.__version__} has no encoder {codec}",
            hint="choose another codec, or install the PyAV wheel from PyPI, which has it",
        )
    _opened((64, 64), Rate(bitrate=bitrate[0]) if bitrate else Rate(crf=0), codec, fps)
    return VideoCodec(encoder=codec, crf=crf, bitrate=bitrate, fps=fps, p=p)
