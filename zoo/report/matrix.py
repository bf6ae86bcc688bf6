"""A matrix of counts as a heat map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import PowerNorm

from zoo.report.canvas import INK, MUTED, SHADES, sheet
from zoo.report.wording import number, plain
from zoo_registry.protocols import Matrix

_MOST_WITH_COUNTS = 25  # classes up to which a count fits its cell
_LONGEST_LABEL = 24  # characters
_MOST_CONFUSED = 4  # pairs named above a matrix that is too large for counts


def draw_matrix(matrix: Matrix, path: Path) -> None:
    """Draw counts, shaded by their share of the row; readable from two classes to several hundred.

    Up to 25 columns each cell holds its count. Beyond, a colour bar explains the shades, every few labels are left
    out, and the largest counts off the diagonal are written above.
    """
    values = np.nan_to_num(np.asarray(matrix.values, dtype=float), nan=0.0, posinf=0.0, neginf=0.0)
    rows, columns = values.shape if values.size else (0, 0)
    cell = float(np.clip(9.5 / max(rows, columns, 1), 0.03, 0.62))
    labels = 0.075 * min(max((len(label) for label in matrix.rows), default=0), _LONGEST_LABEL)
    width = max(labels + columns * cell + (0.9 if columns <= _MOST_WITH_COUNTS else 1.8), 3.6)
    height = max(labels + rows * cell + 1.2, 2.4)
    with sheet(path, width, height, layout="constrained") as figure:
        axes = figure.subplots()
        figure.suptitle(plain(matrix.title, 70), x=0.1 / width, ha="left", fontsize=11, fontweight="bold")
        if not values.size:
            axes.set_axis_off()
            axes.text(0.5, 0.5, "no counts", transform=axes.transAxes, ha="center", va="center", color=MUTED)
            return
        totals = values.sum(axis=1, keepdims=True)
        shares = np.divide(values, totals, out=np.zeros_like(values), where=totals > 0)
        counted = columns <= _MOST_WITH_COUNTS and rows <= 2 * _MOST_WITH_COUNTS
        norm = PowerNorm(gamma=1 if counted else 0.5, vmin=0, vmax=1)  # without counts, rare confusions must show
        image = axes.imshow(shares, cmap=SHADES, norm=norm, interpolation="nearest", aspect="equal")
        axes.set_ylabel(plain(matrix.row_axis, 40))
        axes.set_xlabel(plain(matrix.column_axis, 40))
        _name_ticks(axes.yaxis, matrix.rows, cell)
        _name_ticks(axes.xaxis, matrix.columns, cell)
        axes.tick_params(length=0)
        axes.tick_params(axis="x", rotation=90 if columns > 4 else 0)
        if counted:
            _write_counts(axes, values, shares, size=min(9.0, cell * 17))
            _separate_cells(axes, rows, columns)
        else:
            bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, label="share of the row")
            bar.outline.set_visible(False)
            axes.set_title(_largest_off_diagonal(matrix, values), loc="left", fontsize=8.5, color=MUTED)
        axes.spines[:].set_visible(False)


def _name_ticks(axis: Axis, names: tuple[str, ...], cell: float) -> None:
    """Name as many rows or columns as there is room for."""
    every = max(1, int(np.ceil(0.12 / cell)))
    places = list(range(0, len(names), every))
    axis.set_ticks(places, [plain(names[place], _LONGEST_LABEL) for place in places], fontsize=8 if cell > 0.16 else 6)


def _write_counts(axes: Axes, values: np.ndarray, shares: np.ndarray, size: float) -> None:
    for (row, column), count in np.ndenumerate(values):
        text = number(int(count)) if float(count).is_integer() else f"{count:.2g}"
        colour = "white" if shares[row, column] > 0.45 else INK if count else MUTED
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def _separate_cells(axes: Axes, rows: int, columns: int) -> None:
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)


def _largest_off_diagonal(matrix: Matrix, values: np.ndarray) -> str:
    """The most frequent confusions in words, when rows and columns are the same classes."""
    if matrix.rows != matrix.columns:
        return ""
    off = values * (1 - np.eye(len(values)))
    ranked = np.argsort(-off, axis=None, kind="stable")[:_MOST_CONFUSED]
    pairs = [(*np.unravel_index(place, off.shape),) for place in ranked]
    named = [
        f"{plain(matrix.rows[row], 24)} → {plain(matrix.columns[column], 24)} ({off[row, column]:g})"
        for row, column in pairs
        if off[row, column] > 0
    ]
    return f"most often: {'   '.join(named)}" if named else "nothing off the diagonal"
