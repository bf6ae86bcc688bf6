"""A few frames of a film side by side, as a small JPEG."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from torch import Tensor

FRAMES = 5
"""Of a film in its strip."""

HEIGHT = 72
"""Pixels."""

QUALITY = 5
"""FFmpeg's quantiser scale, 1 best to 31 worst."""


def strip_jpeg(clip_cthw: Tensor) -> bytes:
    """Frames spread over a clip, side by side with a line of white between them.

    Args:
        clip_cthw: uint8 (3, T, H, W), RGB.

    Returns:
        A JPEG, 72 pixels high.
    """
    count, height, width = clip_cthw.shape[1:]
    wanted = np.unique(np.linspace(0, count - 1, min(count, FRAMES) + 2).round().astype(int)[1:-1])
    scaled = HEIGHT, max(2, round(width * HEIGHT / height))
    frames_tchw = interpolate(clip_cthw[:, wanted].transpose(0, 1).float(), scaled, mode="area").round().byte().numpy()
    gap_hwc = np.full((HEIGHT, 2, 3), 255, np.uint8)
    parts = [part for frame in frames_tchw for part in (frame.transpose(1, 2, 0), gap_hwc)][:-1]
    return _jpeg(np.concatenate(parts, axis=1))


def _jpeg(rgb_hwc: np.ndarray) -> bytes:
    height, width = rgb_hwc.shape[0] // 2 * 2, rgb_hwc.shape[1] // 2 * 2  # chroma is halved
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_hwc[:height, :width]), format="rgb24")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": str(QUALITY), "qmax": str(QUALITY), "threads": "1"}
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


class StripShelf:
    """Strips of a whole data set, in one temporary file instead of memory; gone when it is closed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._places: dict[int, tuple[int, int]] = {}

    def put(self, number: int, jpeg: bytes) -> None:
        """Keep the strip of a span."""
        if jpeg:
            self._places[number] = self._file.seek(0, 2), len(jpeg)
            self._file.write(jpeg)

    def get(self, number: int) -> bytes:
        """The strip of a span, empty where there is none."""
        at, length = self._places.get(number, (0, 0))
        self._file.seek(at)
        return self._file.read(length)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()
