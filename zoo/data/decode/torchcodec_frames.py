"""Frames by presentation time through TorchCodec, on the processor or on a GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch.nn.functional import interpolate

from zoo.data.decode.film import Film, media_name, undecodable
from zoo.data.decode.requirements import check_decoder
from zoo_registry.errors import MissingExtra

if TYPE_CHECKING:
    from torch import Tensor


def torchcodec_frames_at(film: Film, times: Sequence[float]) -> Tensor:
    """The frame on display at each time.

    Args:
        film: open; says what to read and on which device.
        times: in seconds on the stream's own clock; before the first frame counts as the first, after the end as the
            last.

    Returns:
        uint8 (T, 3, H, W), RGB, upright, on the device.

    Raises:
        MissingExtra: TorchCodec is not installed, or finds no FFmpeg libraries that it can load.
        RunError: there is no CUDA device.
        UndecodableMedia: TorchCodec cannot read the file.
    """
    check_decoder(film.decoder)
    video_decoder = decoder_class()
    media = film.media
    source: Any = media_name(media) if isinstance(media, str | os.PathLike) else media
    try:
        decoder = video_decoder(
            source, stream_index=film.video.index, seek_mode="exact", device=film.decoder.hardware or "cpu"
        )
        first, end = decoder.metadata.begin_stream_seconds, decoder.metadata.end_stream_seconds
        frames_tchw: Tensor = decoder.get_frames_played_at([min(max(t, first), end - 1e-6) for t in times]).data
    except (RuntimeError, ValueError, IndexError) as error:
        raise undecodable(film.path, f"TorchCodec cannot read it: {str(error).splitlines()[0]}") from error
    return frames_tchw


def resized(frames_tchw: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    """Frames of another size: averaged over the source pixels where they become smaller.

    Args:
        frames_tchw: uint8.
        height: in pixels.
        width: likewise.
        interpolation: `bilinear`, `bicubic`, `area` or `nearest`.
    """
    if tuple(frames_tchw.shape[-2:]) == (height, width):
        return frames_tchw
    smooth = {"mode": interpolation, "antialias": True} if interpolation.startswith("bi") else {"mode": interpolation}
    scaled = interpolate(frames_tchw.float(), size=(height, width), **smooth)
    return scaled.round().clamp(0, 255).byte()


def decoder_class() -> Any:
    """TorchCodec's `VideoDecoder`.

    Raises:
        MissingExtra: it is not installed, or finds no FFmpeg libraries that it can load.
    """
    hint = 'pip install "videozoo[torchcodec]", and FFmpeg\'s shared libraries (a package of the system)'
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError, OSError) as error:
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else "cannot be loaded"
        raise MissingExtra(f"the decoder torchcodec {reason}", hint=hint) from error
    return VideoDecoder
