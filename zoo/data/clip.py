"""Clips: which frames of a film, and how they become a uint8 tensor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from zoo.data.film import Film, open_film, undecodable
from zoo.data.frames import frames_at
from zoo.data.orientation import Orientation
from zoo.data.placement import Placement, canvas_placement, evaluation_placement
from zoo.data.slots import Slots, overlapping_runs

if TYPE_CHECKING:
    from av import VideoFrame
    from torch import Tensor

    from zoo_registry.entries import ClipSpec

LARGEST_CLIP = 2 * 1024**3
"""Bytes of a scaled clip; a film that needs more is taken for a broken header."""


@dataclass(frozen=True)
class View:
    """One clip of a span.

    Attributes:
        position: 0 is the earliest clip that fits, 1 the latest.
        crop: (y, x) in 0..1 of where the window lies on a canvas.
    """

    position: float = 0.5
    crop: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True)
class Clip:
    """A decoded clip.

    Attributes:
        pixels_cthw: uint8 (3, T, H, W), RGB.
        placement: how the displayed frame got there.
        start, end: seconds of the film it shows, from its first frame.
    """

    pixels_cthw: Tensor
    placement: Placement
    start: float
    end: float


def read_clip(
    path: str | os.PathLike[str],
    spec: ClipSpec,
    *,
    start: float | None = None,
    end: float | None = None,
    position: float = 0.5,
    canvas: bool = False,
    crop: tuple[float, float] = (0.5, 0.5),
) -> Tensor:
    """Decode one clip of a film, or a picture as a film of one frame.

    Frames are picked by presentation time: the span is cut into slots of one frame (of `1 / spec.fps` seconds, when
    given), every `spec.stride`-th slot shows the frame on display half a frame after it begins. Where the span is
    shorter than the clip its last frame is repeated. Rotation and mirroring noted in the file are applied; pixels
    count as square. Resizing happens inside the colour conversion, with swscale's filter of the name in
    `spec.interpolation`; all three average over the source pixels when they make a picture smaller, as "antialias"
    does elsewhere.

    Args:
        path: a file that FFmpeg can decode: mp4, avi, mkv, webm, mov, gif, png, jpg, ...
        spec: frames, stride, size, resize, fps and interpolation of the clip. Mean and std are not applied here.
        start: of the span, in seconds from the first frame; None for its beginning.
        end: of the span; None for its end.
        position: in 0..1, where the clip lies in the span: 0 at its beginning, 0.5 in the middle, 1 at its end.
        canvas: True scales to cover `spec.canvas` (to exactly `spec.resize` where that is a pair) and takes a window of
            it, as training does; False resizes and crops to `spec.size`, as evaluation and prediction do.
        crop: (y, x) in 0..1, where the window lies when `canvas` is True.

    Returns:
        uint8 (3, T, H, W), RGB, 0..255; H and W are those of `spec.canvas` or `spec.size`.

    Raises:
        UndecodableMedia: with the file and the reason.

    Example:
        >>> from zoo_registry import ClipSpec
        >>> read_clip("film.mp4", ClipSpec(frames=8, stride=4, size=112)).shape       # doctest: +SKIP
        torch.Size([3, 8, 112, 112])
    """
    with open_film(path) as film:
        return read_views(film, spec, [View(position, crop)], start=start, end=end, canvas=canvas)[0].pixels_cthw


def view_position(view: int, views: int) -> float:
    """Where view number `view` of `views` lies in evaluation: spread evenly, a single one in the middle.

    Example:
        >>> [view_position(view, 3) for view in range(3)], view_position(0, 1)
        ([0.0, 0.5, 1.0], 0.5)
    """
    return view / (views - 1) if views > 1 else 0.5


def read_views(
    film: Film, spec: ClipSpec, views: Sequence[View], *, start: float | None, end: float | None, canvas: bool
) -> list[Clip]:
    """Decode several clips of one span in one pass: what overlaps is decoded once."""
    slots = Slots.of(film, spec.fps, start, end)
    chosen = [slots.choose(spec, view.position) for view in views]
    convert = _Conversion(film.path, spec, canvas)
    pictures: dict[int, np.ndarray] = {}
    for run in overlapping_runs(chosen):
        frames = frames_at(film, [slots.time(slot) for slot in run])
        pictures |= {slot: convert(frame) for slot, frame in zip(run, frames, strict=True)}
    clips = []
    for own, view in zip(chosen, views, strict=True):
        placement = convert.placement(view.crop)
        clips.append(Clip(_seen_through(placement, [pictures[slot] for slot in own]), placement, *slots.seconds(own)))
    return clips


class _Conversion:
    """Decoded frames to upright, scaled RGB arrays; the film's first frame decides size and orientation."""

    def __init__(self, path: str, spec: ClipSpec, canvas: bool) -> None:
        self._path, self._spec, self._canvas = path, spec, canvas
        self._reformatter = VideoReformatter()  # one per film: making one costs more than a small frame
        self._last: tuple[VideoFrame, np.ndarray] | None = None

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """(height, width, 3) uint8; the same array for the same frame."""
        if self._last is None:
            self._orientation = Orientation.of(frame)
            self._displayed = self._orientation.exchange(frame.height, frame.width)
            self._scaled = self.placement((0.5, 0.5)).scaled
            self._refuse_absurd(self._scaled)
        elif self._last[0] is frame:
            return self._last[1]
        height, width = self._orientation.exchange(*self._scaled)
        filter_name = self._spec.interpolation.upper()
        converted = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=filter_name, threads=1)
        rgb = self._orientation.upright(_pixels(converted))
        self._last = frame, rgb
        return rgb

    def placement(self, crop: tuple[float, float]) -> Placement:
        """Where frames go in a clip whose window lies at `crop`."""
        if self._canvas:
            return canvas_placement(self._spec, *self._displayed, crop)
        return evaluation_placement(self._spec, *self._displayed)

    def _refuse_absurd(self, scaled: tuple[int, int]) -> None:
        if self._spec.frames * scaled[0] * scaled[1] * 3 > LARGEST_CLIP:
            size = f"{self._spec.frames} frames of {scaled[0]} x {scaled[1]} pixels"
            raise undecodable(self._path, f"a clip of it needs {size}, more than {LARGEST_CLIP // 1024**3} GiB")


def _pixels(frame: VideoFrame) -> np.ndarray:
    """The (height, width, 3) array behind an rgb24 frame; a view, without the padding of its lines."""
    plane = frame.planes[0]
    lines: np.ndarray = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
    return lines[:, : frame.width * 3].reshape(frame.height, frame.width, 3)


def _seen_through(placement: Placement, frames: Sequence[np.ndarray]) -> Tensor:
    """The windows of all frames as one (3, T, H, W) tensor."""
    (height, width), (top, left) = placement.window, placement.corner
    clip_cthw = np.empty((3, len(frames), height, width), np.uint8)
    for at, rgb in enumerate(frames):
        clip_cthw[:, at] = rgb[top : top + height, left : left + width].transpose(2, 0, 1)
    return torch.from_numpy(clip_cthw)
