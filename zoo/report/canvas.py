"""The sheet that pictures are drawn on: one font, colours that the colour-blind can tell apart, repeatable files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

DPI = 144
INK, MUTED, LINE, PAPER = "#1d2530", "#66717f", "#d9dee5", "#f4f6f8"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5F97", "#8C6D31")
"""The palette of Okabe and Ito (2008) for the colour-blind, its yellow and black replaced: they vanish on paper."""
SHADES = LinearSegmentedColormap.from_list("shades", ("#f7f9fb", "#b5d3e7", "#5aa2cc", "#0072B2", "#023a63"))

_STYLE: Any = {  # its keys are one long Literal in matplotlib's stubs
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same picture on every machine
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a file name with dollar signs is not a formula
    "svg.hashsalt": "zoo",  # repeatable names inside an SVG
    "svg.fonttype": "none",  # text that can be searched
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 9,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
}


@contextmanager
def sheet(path: Path, width: float, height: float, *, layout: Any = None) -> Iterator[Figure]:
    """Give a blank figure, and write it when the block ends well: as SVG where the file is called so, else as PNG.

    Args:
        path: the file; its folder is made. It appears whole or not at all.
        width: in inches.
        height: in inches.
        layout: matplotlib's layout engine, such as `"constrained"`; none for things placed by hand.

    Yields:
        The figure. It belongs to no window and to no state of pyplot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # names in scripts that the font lacks
        figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
        FigureCanvasAgg(figure)
        yield figure
        try:
            if path.suffix == ".svg":
                figure.savefig(partial, format="svg", metadata={"Date": None})
            else:
                figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Bare axes at a place in inches, counted from the sheet's top left corner."""
    sheet_width, sheet_height = figure.get_size_inches()
    bottom = sheet_height - top - height
    axes = figure.add_axes((left / sheet_width, bottom / sheet_height, width / sheet_width, height / sheet_height))
    axes.set_axis_off()
    return axes


def write(figure: Figure, left: float, top: float, text: str, **style: Any) -> None:
    """Write text whose upper left corner is at a place in inches from the sheet's top left corner."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - top / height, text, **{"va": "top", "ha": "left", **style})
