"""Named curves as a line chart, or their points alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from zoo.report.canvas import COLOURS, INK, LINE, MUTED, sheet
from zoo.report.wording import plain
from zoo_registry.protocols import Series

_FEW_POINTS = 40  # up to here each point is marked


def draw_series(series: Series, path: Path) -> None:
    """Draw curves, or points, over a common x axis. What is not finite is left out."""
    with sheet(path, 4.0, 2.75, layout="constrained") as figure:
        axes = figure.subplots()
        axes.set_title(plain(series.title, 60), loc="left", fontsize=11, fontweight="bold", color=INK, pad=10)
        axes.set_xlabel(plain(series.x_axis, 60))
        axes.set_ylabel(plain(series.y_axis, 40))
        axes.grid(axis="y", color=LINE, linewidth=0.7)
        axes.tick_params(length=0, labelsize=8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        if not _draw_curves(axes, series):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.text(0.5, 0.5, "no finite values", transform=axes.transAxes, ha="center", va="center", color=MUTED)


def _draw_curves(axes: Axes, series: Series) -> bool:
    """Draw every curve that has a finite point; the first ones have colours and names, the rest is grey."""
    drawn = 0
    whole_steps = True
    for label, points in series.curves.items():
        x_n, y_n = np.asarray([*points], dtype=float).reshape(-1, 2).T
        y_n = np.where(np.isfinite(x_n) & np.isfinite(y_n), y_n, np.nan)
        if np.isnan(y_n).all():
            continue
        whole_steps &= bool((x_n[np.isfinite(x_n)] % 1 == 0).all())
        named = drawn < len(COLOURS)
        axes.plot(
            x_n,
            y_n,
            color=COLOURS[drawn] if named else MUTED,
            alpha=1 if named else 0.25,
            linewidth=1.6 if named else 0.8,
            linestyle="-" if series.joined else "none",
            marker="o" if not series.joined or np.isfinite(y_n).sum() <= _FEW_POINTS else None,
            markersize=3.2,
            label=plain(label, 32) if named else None,
            zorder=3 if named else 2,
        )
        drawn += 1
    if whole_steps:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if drawn > 1 or (drawn == 1 and next(iter(series.curves)) != ""):
        note = f"and {drawn - len(COLOURS)} more in grey" if drawn > len(COLOURS) else None
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best", title=note, title_fontsize=8)
    return drawn > 0
