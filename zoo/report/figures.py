"""Draws what tasks hand over, one picture per record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from zoo.report.matrix import draw_matrix
from zoo.report.pictures import draw_before_after, draw_film_strip
from zoo.report.series import draw_series
from zoo_registry.protocols import BeforeAfter, Figure, FilmStrip, Matrix, Series

Clips = Callable[[int, int], np.ndarray]
"""`(index, view) -> (T, H, W, 3) uint8`: the film behind a sample, for film strips. May raise."""


def draw(figure: Figure, path: Path, clips: Clips | None = None) -> Path:
    """Draw one figure as a PNG that is the same, bit for bit, each time.

    Args:
        figure: a record that a task returned, or `zoo.report.curves` made.
        path: the file to write; its folder is made.
        clips: decodes the films of a film strip. One that raises is shown as an empty frame with the reason.

    Returns:
        `path`.

    Raises:
        TypeError: the record is none of `zoo_registry.protocols.Figure`.

    Example:
        >>> from zoo_registry.protocols import Series
        >>> draw(Series("Loss", {"train": [(1, 1.8), (2, 1.1)]}), Path("loss.png"))  # doctest: +SKIP
        PosixPath('loss.png')
    """
    match figure:
        case Matrix():
            draw_matrix(figure, path)
        case Series():
            draw_series(figure, path)
        case FilmStrip():
            draw_film_strip(figure, path, clips)
        case BeforeAfter():
            draw_before_after(figure, path)
        case _:
            raise TypeError(f"a figure is a Matrix, Series, FilmStrip or BeforeAfter, not {type(figure).__name__}")
    return path
