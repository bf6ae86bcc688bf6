"""The clip of a film that is explained: what the model sees, when, and which part of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.clips.clip import read_views
from zoo.data.clips.slots import slots_of
from zoo.data.clips.views import View
from zoo.data.decode.conversion import rgb_picture
from zoo.data.decode.film import Film, Media, media_name, open_film
from zoo.data.decode.frames import frames_at, frames_from
from zoo.data.decode.orientation import Orientation
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from av import VideoFrame
    from torch import Tensor

    from zoo.data.clips.placement import Placement
    from zoo_registry.entries import ClipSpec

LARGEST = 720
"""Pixels of the shorter side of what is drawn; larger films are drawn smaller."""


@dataclass(frozen=True)
class FilmClip:
    """A clip and where it is from.

    Attributes:
        media: the film.
        pixels_cthw: uint8 (3, T, H, W), what the model gets.
        placement: which part of the displayed picture that is.
        times: of its frames, in seconds from the film's first; ascending, some may be equal.
        start, end: seconds of the film that it shows.
        fps: of the film.
    """

    media: Media = field(repr=False)
    pixels_cthw: Tensor
    placement: Placement
    times: tuple[float, ...]
    start: float
    end: float
    fps: float

    @property
    def name(self) -> str:
        """What to call the film in messages: its path, where it has one."""
        return media_name(self.media)

    def frames(self) -> list[np.ndarray]:
        """The whole displayed picture (H, W, 3) uint8 at each of `times`."""
        with self._film() as film:
            origin = film.timeline.origin
            return [_displayed(frame) for frame in frames_at(film, [origin + time for time in self.times])]

    def all_frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Every picture between `start` and `end`, also those that the model does not see, with its time."""
        with self._film() as film:
            origin = film.timeline.origin
            rounding = 0.5 * float(film.video.time_base or 0)  # of time stamps, to either side
            for stamp, frame in frames_from(film, origin + self.start + rounding):
                if stamp - origin >= self.end - rounding:
                    return
                yield max(stamp - origin, self.start), _displayed(frame)

    def _film(self) -> AbstractContextManager[Film]:
        """The film, opened again.

        Raises:
            DataError: it is a file object that was closed meanwhile.
        """
        if getattr(self.media, "closed", False):
            raise DataError(f"{self.name} was closed", hint="write explanations while it is open, or give a path")
        return open_film(self.media)


def read_film_clip(media: Media, spec: ClipSpec, start: float | None) -> FilmClip:
    """Read one clip as prediction does.

    Args:
        media: a film or picture: a path, an address, its bytes, or a file object, which stays open.
        spec: of the model.
        start: where it begins, in seconds; by default the clip lies in the middle of the film.

    Raises:
        UndecodableMedia: it cannot be decoded, or has nothing there.
    """
    position = 0.0 if start is not None and spec.sampling == "dense" else 0.5
    with open_film(media) as film:
        slots = slots_of(film, spec, start, None)
        times = tuple(slots.time(slot) - film.timeline.origin for slot in slots.choose(spec, position))
        (clip,) = read_views(film, spec, [View(position)], start=start, end=None, canvas=False)
        return FilmClip(media, clip.pixels_cthw, clip.placement, times, clip.start, clip.end, film.timeline.fps)


def _displayed(frame: VideoFrame) -> np.ndarray:
    """A frame upright, as (H, W, 3) uint8."""
    orientation = Orientation.of(frame)
    height, width = orientation.exchange(frame.height, frame.width)
    scale = min(1.0, LARGEST / min(height, width))
    scaled = max(1, round(height * scale)), max(1, round(width * scale))
    return np.stack(rgb_picture(frame, orientation, scaled, "bilinear"), axis=-1)
