"""What an explanation is, and how it is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.explanation.overlay import at_time, on_picture, overlay
from zoo_registry.errors import DataError, Location

if TYPE_CHECKING:
    from zoo.explanation.film_clip import FilmClip


@dataclass(frozen=True)
class Explanation:
    """Where in a clip the answer of a model comes from.

    Attributes:
        map_thw: float32 (T, H, W) of the clip that the model saw, 0..1: 1 is the place that the answer rests on most;
            0 everywhere where no place is more than another.
        label: which answer is explained.
        score: what the model gives that label: a probability where its task speaks of one, else its raw output.
        method: how it was explained.
        model: name of the model.
        clip: the film, the clip and its place in both.
        frames_thwc: uint8 (T, H, W, 3), the whole displayed pictures at the moments that the model saw.
    """

    map_thw: np.ndarray = field(repr=False)
    label: str
    score: float
    method: str
    model: str
    clip: FilmClip = field(repr=False)
    frames_thwc: np.ndarray = field(repr=False)

    @property
    def importance_t(self) -> np.ndarray:
        """How much of the map lies in each frame, (T,); the greatest is 1."""
        means = self.map_thw.mean((1, 2))
        return np.asarray(means / means.max() if means.max() > 0 else means)

    def write_video(self, path: str | os.PathLike[str]) -> Path:
        """Write the film's own frames over the clip's span, at their own times, with the map over them.

        Between the moments that the model saw the map is interpolated. What the model's window leaves out is dark.

        Args:
            path: an MP4 file (H.264); it appears whole or not at all.

        Returns:
            The path.

        Raises:
            UndecodableMedia: the film between the moments of the clip cannot be decoded.
            DataError: the file cannot be written, or its name does not end in `.mp4`.
        """
        from zoo.explanation.video import write_film

        write_film(Path(path), self._covered(), self.clip.fps)
        return Path(path)

    def write_strip(self, path: str | os.PathLike[str]) -> Path:
        """Draw frames in a row, the same with the map below them, and the curve of importance over time.

        Args:
            path: a `.png` or `.svg` file; it appears whole or not at all.

        Returns:
            The path.

        Raises:
            DataError: the file cannot be written, or its name ends in something else.
        """
        from zoo.explanation.strip import write_strip

        overlays = [
            overlay(frame, on_picture(map_hw, self.clip.placement, *frame.shape[:2]))
            for frame, map_hw in zip(self.frames_thwc, self.map_thw, strict=True)
        ]
        title = f"{self.label}  {self.score:.1%}" if 0 <= self.score <= 1 else f"{self.label}  {self.score:.2f}"
        subtitle = f"{self.model} on {Path(self.clip.name).name}, by {self.method}"
        try:
            write_strip(
                Path(path), title, subtitle, [*self.frames_thwc], overlays, self.clip.times, self.importance_t.tolist()
            )
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"the strip cannot be written: {reason}", where=Location(os.fspath(path))) from error
        return Path(path)

    def _covered(self) -> Iterator[tuple[float, np.ndarray]]:
        for time, picture_hwc in self.clip.all_frames():
            map_hw = at_time(self.map_thw, self.clip.times, time + 0.5 / self.clip.fps)
            yield time, overlay(picture_hwc, on_picture(map_hw, self.clip.placement, *picture_hwc.shape[:2]))
