"""Clips: which frames of a film, and how they become a uint8 tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo.data.conversion import Picture, rgb_picture
from zoo.data.film import Decoder, Film, Media, open_film, undecodable
from zoo.data.frames import frames_at
from zoo.data.orientation import Orientation
from zoo.data.placement import Placement, canvas_placement, evaluation_placement
from zoo.data.slots import slots_of

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
        along: in 0..1, where the window of an evaluation lies along the longer side of the resized frame.
        within: in 0..1 for each frame, where in its segment it lies; empty puts all at `position`.
    """

    position: float = 0.5
    crop: tuple[float, float] = (0.5, 0.5)
    along: float = 0.5
    within: tuple[float, ...] = ()


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
    media: Media,
    spec: ClipSpec,
    *,
    start: float | None = None,
    end: float | None = None,
    position: float = 0.5,
    canvas: bool = False,
    crop: tuple[float, float] = (0.5, 0.5),
    decoder: Decoder = Decoder(),
) -> Tensor:
    """Decode one clip of a film, or a picture as a film of one frame.

    Frames are picked by presentation time: the span is cut into slots of one frame (of `1 / spec.fps` seconds, when
    given), every `spec.stride`-th slot shows the frame on display half a frame after it begins. Where the span is
    shorter than the clip its last frame is repeated. Rotation and mirroring noted in the file are applied; pixels
    count as square. Resizing happens inside the colour conversion, with swscale's filter of the name in
    `spec.interpolation`; all three average over the source pixels when they make a picture smaller, as "antialias"
    does elsewhere.

    Args:
        media: what FFmpeg can decode (mp4, avi, mkv, webm, mov, gif, png, jpg, ...): a path, a `file:`, `http:` or
            `https:` URI, the bytes of a file, or a seekable binary file object.
        spec: frames, stride, size, resize, fps and interpolation of the clip. Mean and std are not applied here.
        start: of the span, in seconds from the first frame; None for its beginning.
        end: of the span; None for its end.
        position: in 0..1, where the clip lies in the span: 0 at its beginning, 0.5 in the middle, 1 at its end.
        canvas: True scales to cover `spec.canvas` (to exactly `spec.resize` where that is a pair) and takes a window of
            it, as training does; False resizes and crops to `spec.size`, as evaluation and prediction do.
        crop: (y, x) in 0..1, where the window lies when `canvas` is True.
        decoder: what decodes it, and on which device.

    Returns:
        uint8 (3, T, H, W), RGB, 0..255; H and W are those of `spec.canvas` or `spec.size`.

    Raises:
        UndecodableMedia: with the file and the reason.

    Example:
        >>> from zoo_registry import ClipSpec
        >>> read_clip("film.mp4", ClipSpec(frames=8, stride=4, size=112)).shape       # doctest: +SKIP
        torch.Size([3, 8, 112, 112])
    """
    with open_film(media, decoder) as film:
        return read_views(film, spec, [View(position, crop)], start=start, end=end, canvas=canvas)[0].pixels_cthw


def view_position(view: int, views: int, sampling: str = "dense") -> float:
    """Where view number `view` of `views` lies in evaluation: spread evenly, a single one in the middle.

    Dense clips go from the earliest that fits to the latest. Else a position lies within a segment, and the end of one
    is the beginning of the next: views are then the middles of equal parts.

    Example:
        >>> [view_position(view, 3) for view in range(3)], view_position(0, 1)
        ([0.0, 0.5, 1.0], 0.5)
        >>> [view_position(view, 2, "segments") for view in range(2)]
        [0.25, 0.75]
    """
    if sampling != "dense":
        return (view + 0.5) / views
    return view / (views - 1) if views > 1 else 0.5


def crop_position(crop: int, crops: int) -> float:
    """Where crop number `crop` of `crops` lies along the longer side in evaluation: 0, 1/2 and 1 of three.

    Example:
        >>> [crop_position(crop, 3) for crop in range(3)], crop_position(0, 1)
        ([0.0, 0.5, 1.0], 0.5)
    """
    return crop / (crops - 1) if crops > 1 else 0.5


def evaluation_view(number: int, *, clips: int, crops: int = 1, sampling: str = "dense") -> View:
    """View number `clip * crops + crop` of a film in evaluation.

    Args:
        number: from 0 on.
        clips: clips of the film, spread evenly over it.
        crops: of each clip.
        sampling: of the clip spec.

    Example:
        >>> evaluation_view(5, clips=3, crops=3)
        View(position=0.5, crop=(0.5, 0.5), along=1.0, within=())
    """
    clip, crop = divmod(number, crops)
    return View(view_position(clip, clips, sampling), along=crop_position(crop, crops))


def read_views(
    film: Film, spec: ClipSpec, views: Sequence[View], *, start: float | None, end: float | None, canvas: bool
) -> list[Clip]:
    """Decode several clips of one span in one pass: what overlaps is decoded once."""
    slots = slots_of(film, spec, start, end)
    chosen = [slots.choose(spec, view.position, view.within) for view in views]
    wanted = sorted({slot for clip in chosen for slot in clip})
    times = [slots.time(slot) for slot in wanted]
    if film.decoder.name == "torchcodec":
        see = _by_torchcodec(film, times, spec, canvas)
    else:
        see = _by_pyav(film, times, spec, canvas)
    rows = {slot: row for row, slot in enumerate(wanted)}
    return [
        Clip(*see([rows[slot] for slot in own], view), *slots.seconds(own))
        for own, view in zip(chosen, views, strict=True)
    ]


See = Callable[[Sequence[int], View], tuple["Tensor", Placement]]
"""From the rows of decoded frames that make a clip, and its view, to pixels (3, T, H, W) and where they were."""


def _by_pyav(film: Film, times: Sequence[float], spec: ClipSpec, canvas: bool) -> See:
    convert = _Conversion(film.path, spec, canvas)
    pictures = [convert(frame) for frame in frames_at(film, times)]

    def see(rows: Sequence[int], view: View) -> tuple[Tensor, Placement]:
        placement = convert.placement(view)
        return _seen_through(placement, [pictures[row] for row in rows]), placement

    return see


def _by_torchcodec(film: Film, times: Sequence[float], spec: ClipSpec, canvas: bool) -> See:
    from zoo.data.torchcodec_frames import resized, torchcodec_frames_at

    frames_tchw = torchcodec_frames_at(film, times)
    height, width = frames_tchw.shape[-2:]
    scaled_tchw = resized(frames_tchw, *_placement(spec, canvas, height, width, View()).scaled, spec.interpolation)

    def see(rows: Sequence[int], view: View) -> tuple[Tensor, Placement]:
        placement = _placement(spec, canvas, height, width, view)
        (bottom, right), (top, left) = placement.window, placement.corner
        window_tchw = scaled_tchw[list(rows), :, top : top + bottom, left : left + right]
        return window_tchw.transpose(0, 1).contiguous(), placement

    return see


def _placement(spec: ClipSpec, canvas: bool, height: int, width: int, view: View) -> Placement:
    """Where displayed frames of a size go in the clip of a view."""
    if canvas:
        return canvas_placement(spec, height, width, view.crop)
    return evaluation_placement(spec, height, width, view.along)


class _Conversion:
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
        return _placement(self._spec, self._canvas, *self._displayed, view)

    def _refuse_absurd(self, scaled: tuple[int, int]) -> None:
        if self._spec.frames * scaled[0] * scaled[1] * 3 > LARGEST_CLIP:
            size = f"{self._spec.frames} frames of {scaled[0]} x {scaled[1]} pixels"
            raise undecodable(self._path, f"a clip of it needs {size}, more than {LARGEST_CLIP // 1024**3} GiB")


def _seen_through(placement: Placement, pictures: Sequence[Picture]) -> Tensor:
    """The windows of all pictures as one (3, T, H, W) tensor."""
    (height, width), (top, left) = placement.window, placement.corner
    clip_cthw = np.empty((3, len(pictures), height, width), np.uint8)
    for at, picture in enumerate(pictures):
        for channel, channel_hw in enumerate(picture):
            clip_cthw[channel, at] = channel_hw[top : top + height, left : left + width]
    return torch.from_numpy(clip_cthw)
