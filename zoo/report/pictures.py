"""Films as rows of frames, and pictures side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.report.canvas import INK, LINE, MUTED, PAPER, place, sheet, write
from zoo.report.wording import plain
from zoo_registry.protocols import BeforeAfter, FilmStrip, Strip

_WIDTH = 11.0  # inches of a sheet
_MARGIN, _GAP, _TITLE, _CAPTION = 0.15, 0.04, 0.45, 0.3
_FRAMES = 8  # shown of a film
_TALLEST = 2.4  # inches of a row


@dataclass(frozen=True)
class _Row:
    """One film: its frames, or why there are none."""

    caption: str
    frames: list[np.ndarray]
    problem: str = ""


def draw_film_strip(strip: FilmStrip, path: Path, clips: Callable[[int, int], np.ndarray] | None) -> None:
    """Draw each film as a row of up to eight frames, evenly spaced in time, under its caption."""
    rows = [_read(item, clips) for item in strip.strips]
    columns = max((len(row.frames) for row in rows), default=1)
    slot = (_WIDTH - 2 * _MARGIN - (_FRAMES - 1) * _GAP) / max(min(columns, _FRAMES), 4)
    heights = [_row_height(row.frames, slot) for row in rows]
    with sheet(path, _WIDTH, _TITLE + sum(height + _CAPTION + 0.1 for height in heights) + 0.3 * (not rows)) as figure:
        write(figure, _MARGIN, 0.12, plain(strip.title, 90), fontsize=11, fontweight="bold")
        if not rows:
            write(figure, _MARGIN, _TITLE, "nothing to show", color=MUTED)
        top = _TITLE
        for row, height in zip(rows, heights, strict=True):
            write(figure, _MARGIN, top + 0.06, plain(row.caption, 130), fontsize=8.5, color=INK)
            top += _CAPTION
            if row.problem:
                axes = place(figure, _MARGIN, top, _WIDTH - 2 * _MARGIN, height)
                axes.patch.set(facecolor=PAPER, edgecolor=LINE)
                axes.set_axis_on()
                axes.set(xticks=[], yticks=[])
                axes.text(0.5, 0.5, plain(row.problem, 120), ha="center", va="center", fontsize=8, color=MUTED)
            for column, frame in enumerate(row.frames):
                width = min(slot, height * frame.shape[1] / frame.shape[0])
                place(figure, _MARGIN + column * (width + _GAP), top, width, height).imshow(frame, aspect="auto")
            top += height + 0.1


def draw_before_after(figure_data: BeforeAfter, path: Path) -> None:
    """Draw rows of pictures under the names of their columns; each keeps its own pixels and shape."""
    columns = max(len(figure_data.columns), 1)
    slot = (_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) / max(columns, 2)
    heights = [_row_height(list(row), slot, tallest=5.0) for row in figure_data.rows]
    with sheet(path, _WIDTH, _TITLE + _CAPTION + sum(height + _GAP for height in heights) + 0.15) as figure:
        write(figure, _MARGIN, 0.12, plain(figure_data.title, 90), fontsize=11, fontweight="bold")
        for column, heading in enumerate(figure_data.columns):
            write(figure, _MARGIN + column * (slot + _GAP), _TITLE + 0.05, plain(heading, 40), fontsize=9, color=MUTED)
        top = _TITLE + _CAPTION
        for row, height in zip(figure_data.rows, heights, strict=True):
            for column, image in enumerate(row):
                axes = place(figure, _MARGIN + column * (slot + _GAP), top, slot, height)
                axes.imshow(image, interpolation="nearest")
                axes.set_anchor("NW")
            top += height + _GAP


def _read(strip: Strip, clips: Callable[[int, int], np.ndarray] | None) -> _Row:
    """Decode the frames of one row."""
    try:
        if clips is None:
            return _Row(strip.caption, [], "no films at hand")
        clip_thwc = np.asarray(clips(strip.index, strip.view))
    except Exception as error:  # whatever a decoder says about one film, the others are shown
        return _Row(strip.caption, [], f"cannot be decoded: {error or type(error).__name__}")
    if clip_thwc.ndim != 4 or clip_thwc.shape[-1] != 3 or clip_thwc.dtype != np.uint8 or 0 in clip_thwc.shape:
        return _Row(strip.caption, [], f"not a clip (T, H, W, 3) of uint8: {clip_thwc.shape} of {clip_thwc.dtype}")
    wanted = np.linspace(0, len(clip_thwc) - 1, min(len(clip_thwc), _FRAMES)).round().astype(int)
    return _Row(strip.caption, [clip_thwc[frame] for frame in wanted])


def _row_height(images: list[np.ndarray], width: float, tallest: float = _TALLEST) -> float:
    """Inches that the tallest image needs when each is `width` inches wide."""
    return min(max((width * image.shape[0] / image.shape[1] for image in images), default=0.5), tallest)
