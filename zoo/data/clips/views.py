"""Views: which clips of a film, and which windows of its pictures, are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.data.clips.placement import Placement, canvas_placement, evaluation_placement

if TYPE_CHECKING:
    from zoo_registry.entries import ClipSpec


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


def placement_of(spec: ClipSpec, canvas: bool, height: int, width: int, view: View) -> Placement:
    """Where displayed frames of a size go in the clip of a view."""
    if canvas:
        return canvas_placement(spec, height, width, view.crop)
    return evaluation_placement(spec, height, width, view.along)


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
