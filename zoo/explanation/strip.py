"""Draws an explanation as a strip: frames, the map over them, and how much of it lies in each moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from zoo.report.canvas import COLOURS, INK, LINE, MUTED, place, sheet, write
from zoo.report.wording import plain
from zoo_registry.errors import DataError

_WIDTH, _MARGIN, _GAP = 11.0, 0.2, 0.05
_HEAD, _CURVE, _FOOT = 0.62, 0.7, 0.42
_SMALLEST, _TALLEST = 1.3, 2.6
"""Inches: how wide a square picture is at least, and how tall any is at most."""

SUFFIXES = (".png", ".svg")

_MOST = 8
"""Frames in a row."""


def write_strip(
    path: Path,
    title: str,
    subtitle: str,
    frames: Sequence[np.ndarray],
    overlays: Sequence[np.ndarray],
    times: Sequence[float],
    importance_t: Sequence[float],
) -> None:
    """Draw up to eight frames, evenly spaced, the same with the map below, and the curve of importance over time.

    Wide pictures are fewer, so that they can be seen.

    Args:
        path: ends in one of `SUFFIXES`; appears whole or not at all.
        title: what is explained.
        subtitle: how.
        frames: (H, W, 3) uint8, T of them.
        overlays: the same with the map.
        times: of each, in seconds.
        importance_t: of each frame, in 0..1.

    Raises:
        DataError: the name is none of a picture that can be written.
    """
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path} is no name of a picture of this kind", hint=f"end it in {' or '.join(SUFFIXES)}")
    shape = frames[0].shape[0] / frames[0].shape[1]
    most = min(_MOST, int((_WIDTH - 2 * _MARGIN) * min(1.0, shape**0.5) / _SMALLEST))
    shown = np.linspace(0, len(frames) - 1, min(len(frames), most)).round().astype(int)
    slot = (_WIDTH - 2 * _MARGIN - (len(shown) - 1) * _GAP) / len(shown)
    height = min(slot * shape, _TALLEST)
    width = height / shape
    step = width + _GAP
    across = len(shown) * step - _GAP
    with sheet(path, max(across + 2 * _MARGIN, 4.0), _HEAD + 2 * height + _GAP + _CURVE + _FOOT + 0.2) as figure:
        write(figure, _MARGIN, 0.12, plain(title, 90), fontsize=12, fontweight="bold", color=INK)
        write(figure, _MARGIN, 0.36, plain(subtitle, 130), fontsize=8.5, color=MUTED)
        for column, frame in enumerate(shown):
            left = _MARGIN + column * step
            place(figure, left, _HEAD, width, height).imshow(frames[frame], aspect="auto")
            place(figure, left, _HEAD + height + _GAP, width, height).imshow(overlays[frame], aspect="auto")
        top = _HEAD + 2 * height + _GAP + 0.1
        write(figure, _MARGIN, top, "importance over time", fontsize=8.5, color=MUTED)
        top += 0.2
        _draw_curve(figure, top, width, step, across, shown, times, importance_t)


def _draw_curve(
    figure: Figure,
    top: float,
    width: float,
    step: float,
    across: float,
    shown: np.ndarray,
    times: Sequence[float],
    importance_t: Sequence[float],
) -> None:
    """Importance over time, each shown frame's value below the middle of its picture."""
    axes = place(figure, _MARGIN, top, across, _CURVE)
    axes.set_axis_on()
    middles = width / 2 + step * np.arange(len(shown))
    places = np.interp(np.arange(len(times)), shown, middles)
    axes.fill_between(places, importance_t, color=COLOURS[1], alpha=0.18, linewidth=0)
    axes.plot(places, importance_t, color=COLOURS[1], linewidth=1.8, marker="o" if len(times) <= 40 else None, ms=3.5)
    axes.set(xlim=(0, across), ylim=(0, 1.08), yticks=[0, 1])
    axes.set_xticks(middles, [f"{times[frame]:.2f} s" for frame in shown])
    axes.tick_params(length=0, labelsize=8)
    axes.set_yticklabels([])
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.spines[["top", "right", "left"]].set_visible(False)
