"""What a run shows of itself: pictures, and one HTML page that holds them all.

Nothing here knows a task. Tasks hand over figures as data (`zoo_registry.protocols.Figure`); this package draws them.
matplotlib and torch are imported when the first picture is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily
from zoo.report.table import Table

if TYPE_CHECKING:
    from zoo.report.architecture import diagram
    from zoo.report.figures import Clips, draw
    from zoo.report.history import curves
    from zoo.report.page import write_report

__all__ = ["Clips", "Table", "curves", "diagram", "draw", "write_report"]

_HOMES = {
    "Clips": "zoo.report.figures",
    "curves": "zoo.report.history",
    "diagram": "zoo.report.architecture",
    "draw": "zoo.report.figures",
    "write_report": "zoo.report.page",
}

__getattr__ = lazily(__name__, _HOMES)
