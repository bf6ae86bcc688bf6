"""Decoded frames to upright RGB pictures of the size a clip wants."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import VideoReformatter

from zoo.data.orientation import Orientation

if TYPE_CHECKING:
    from av import VideoFrame

Picture = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Red, green and blue of an upright frame, uint8 (height, width) each; views on the memory of the decoder."""


def rgb_picture(frame: VideoFrame, orientation: Orientation, scaled: tuple[int, int], interpolation: str) -> Picture:
    """One frame as RGB, scaled inside the colour conversion and turned upright.

    Scaled pictures come in planes: swscale makes them in less than half the time of packed ones, with rounding where
    packed ones are cut off (they are 1.5 levels darker in the mean), and a clip wants planes. Where nothing is scaled,
    packed ones are as fast, and equal bit for bit what FFmpeg's own tools and TorchCodec give.

    Args:
        frame: as decoded.
        orientation: how it is displayed.
        scaled: (height, width) of the upright picture.
        interpolation: swscale's name of the filter, in lower case.
    """
    height, width = orientation.exchange(*scaled)
    planar = (height, width) != (frame.height, frame.width)
    converted = _reformatter(frame.format.name, frame.width, frame.height, width, height, interpolation).reformat(
        frame, width, height, "gbrp" if planar else "rgb24", interpolation=interpolation.upper(), threads=1
    )
    red, green, blue = _planes(converted) if planar else _channels(converted)
    return orientation.upright(red), orientation.upright(green), orientation.upright(blue)


@lru_cache(maxsize=16)
def _reformatter(*conversion: object) -> VideoReformatter:
    """The one that did the same conversion last: making its tables takes as long as a small frame."""
    del conversion
    return VideoReformatter()


def _planes(frame: VideoFrame) -> Picture:
    """Of a gbrp frame, whose planes are green, blue and red, without the padding of their lines."""
    green, blue, red = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
        for plane in frame.planes
    )
    return red, green, blue


def _channels(frame: VideoFrame) -> Picture:
    """Of an rgb24 frame."""
    plane = frame.planes[0]
    lines: np.ndarray = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
    pixels_hwc = lines[:, : frame.width * 3].reshape(frame.height, frame.width, 3)
    return pixels_hwc[..., 0], pixels_hwc[..., 1], pixels_hwc[..., 2]
