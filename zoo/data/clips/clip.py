"""Clips: which frames of a film, and how they become a uint8 tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.data.clips.placement import Placement
from zoo.data.clips.slots import slots_of
from zoo.data.clips.views import View, placement_of
from zoo.data.decode.conversion import Conversion, seen_through
from zoo.data.decode.film import Decoder, Film, Media, open_film
from zoo.data.decode.frames import frames_at
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_registry.entries import ClipSpec


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
    `spec.interpolation`; all but `nearest` average over the source pixels when they make a picture smaller, as
    "antialias" does elsewhere.

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
        DataError: a position or crop outside of 0..1.

    Example:
        >>> from zoo_registry import ClipSpec
        >>> read_clip("film.mp4", ClipSpec(frames=8, stride=4, size=112)).shape       # doctest: +SKIP
        torch.Size([3, 8, 112, 112])
    """
    for name, value in (("position", position), ("crop", crop[0]), ("crop", crop[1])):
        if not 0 <= value <= 1:
            raise DataError(f"{name} is {value:g}", hint="a place in a film or picture is a number from 0 to 1")
    with open_film(media, decoder) as film:
        return read_views(film, spec, [View(position, crop)], start=start, end=end, canvas=canvas)[0].pixels_cthw


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
    convert = Conversion(film.path, spec, canvas)
    pictures = [convert(frame) for frame in frames_at(film, times)]

    def see(rows: Sequence[int], view: View) -> tuple[Tensor, Placement]:
        placement = convert.placement(view)
        return seen_through(placement, [pictures[row] for row in rows]), placement

    return see


def _by_torchcodec(film: Film, times: Sequence[float], spec: ClipSpec, canvas: bool) -> See:
    from zoo.data.decode.torchcodec_frames import resized, torchcodec_frames_at

    frames_tchw = torchcodec_frames_at(film, times)
    height, width = frames_tchw.shape[-2:]
    scaled_tchw = resized(frames_tchw, *placement_of(spec, canvas, height, width, View()).scaled, spec.interpolation)

    def see(rows: Sequence[int], view: View) -> tuple[Tensor, Placement]:
        placement = placement_of(spec, canvas, height, width, view)
        (bottom, right), (top, left) = placement.window, placement.corner
        window_tchw = scaled_tchw[list(rows), :, top : top + bottom, left : left + right]
        return window_tchw.transpose(0, 1).contiguous(), placement

    return see
