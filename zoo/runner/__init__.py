"""Trains and evaluates: one loop, and what stands around it. Importing this package imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.runner.device import choose_device
    from zoo.runner.evaluation import Evaluation, evaluate
    from zoo.runner.folder import RunFolder
    from zoo.runner.loop import FitResult, fit
    from zoo.runner.progress import Progress

_HOMES = {
    "Evaluation": "zoo.runner.evaluation",
    "FitResult": "zoo.runner.loop",
    "Progress": "zoo.runner.progress",
    "RunFolder": "zoo.runner.folder",
    "evaluate": "zoo.runner.evaluation",
    "fit": "zoo.runner.loop",
    "choose_device": "zoo.runner.device",
}

__all__ = ["Evaluation", "FitResult", "Progress", "RunFolder", "choose_device", "evaluate", "fit"]

__getattr__ = lazily(__name__, _HOMES)
