"""Decoded frames to upright RGB pictures of the size a clip wants."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from av.video.reformatter import Interpolation, VideoReformatter

from zoo.data.clips.views import View, placement_of
from zoo.data.decode.film import undecodable
from zoo.data.decode.orientation import Orientation
from zoo_registry.spec_rules import MOST_BYTES

if TYPE_CHECKING:
    from av import VideoFrame
    from torch import Tensor

    from zoo.data.clips.placement import Placement
    from zoo_registry.entries import ClipSpec

FILTERS = {
    "bilinear": Interpolation.BILINEAR,
    "bicubic": Interpolation.BICUBIC,
    "area": Interpolation.AREA,
    "nearest": Interpolation.POINT,
}
"""swscale's filters by the names that clip specs use."""

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
        interpolation: one of `FILTERS`.
    """
    height, width = orientation.exchange(*scaled)
    stored = frame.format.name, frame.height, frame.width
    planar = (height, width) != stored[1:]
    converted = _reformatter(*stored, height, width, interpolation).reformat(
        frame, width, height, "gbrp" if planar else "rgb24", interpolation=FILTERS[interpolation], threads=1
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
    height, width = frame.height, frame.width
    green, blue, red = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]
        for plane in frame.planes
    )
    return red, green, blue


def _channels(frame: VideoFrame) -> Picture:
    """Of an rgb24 frame."""
    plane = frame.planes[0]
    lines: np.ndarray = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
    pixels_hwc = lines[:, : frame.width * 3].reshape(frame.height, frame.width, 3)
    return pixels_hwc[..., 0], pixels_hwc[..., 1], pixels_hwc[..., 2]


class Conversion:
    """Decoded frames to upright, scaled RGB pictures; the film's first frame decides size and orientation."""

    def __init__(self, path: str, spec: ClipSpec, canvas: bool) -> None:
        self._path, self._spec, self._canvas = path, spec, canvas
        self._last: tuple[VideoFrame, Picture] | None = None

    def __call__(self, frame: VideoFrame) -> Picture:
        """The same picture for the same frame."""
        if self._last is None:
            self._orientation = Orientation.of(frame)
            self._displayed = self._orientation.exchange(frame.height, frame.width)
            self._scaled = self.placement(View()).scaled
            self._refuse_absurd(self._scaled)
        elif self._last[0] is frame:
            return self._last[1]
        picture = rgb_picture(frame, self._orientation, self._scaled, self._spec.interpolation)
        self._last = frame, picture
        return picture

    def placement(self, view: View) -> Placement:
        """Where frames go in the clip of a view."""
        return placement_of(self._spec, self._canvas, *self._displayed, view)

    def _refuse_absurd(self, scaled: tuple[int, int]) -> None:
        """Of a film so wide or tall that covering the clip takes more than any clip may: its header is broken."""
        if self._spec.frames * scaled[0] * scaled[1] * 3 > MOST_BYTES:
            size = f"{self._spec.frames} frames of {scaled[0]} x {scaled[1]} pixels"
            raise undecodable(self._path, f"a clip of it needs {size}, more than {MOST_BYTES // 1024**3} GiB")


def seen_through(placement: Placement, pictures: Sequence[Picture]) -> Tensor:
    """The windows of all pictures as one (3, T, H, W) tensor."""
    (height, width), (top, left) = placement.window, placement.corner
    clip_cthw = np.empty((3, len(pictures), height, width), np.uint8)
    for at, picture in enumerate(pictures):
        for channel, channel_hw in enumerate(picture):
            clip_cthw[channel, at] = channel_hw[top : top + height, left : left + width]
    return torch.from_numpy(clip_cthw)
