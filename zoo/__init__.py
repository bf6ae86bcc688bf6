"""videozoo: an open, plugin-based model zoo for video.

    >>> import zoo
    >>> model = zoo.load("torchvision/r3d_18", pretrained=False)     # doctest: +SKIP
    >>> model.predict("film.mp4")[0]                                 # doctest: +SKIP

Importing this package imports no torch; what is used first brings what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily
from zoo_registry import ClipSpec, ZooError, __version__

if TYPE_CHECKING:
    from zoo.data import iter_clips, keyframes, probe, read_clip, scenes, windows
    from zoo.explanation import Explanation, explain
    from zoo.listing import list_models
    from zoo.model import ZooModel, load
    from zoo.runner.stages import RunResult, run
    from zoo.streaming import stream

__all__ = [
    "ClipSpec",
    "Explanation",
    "RunResult",
    "ZooError",
    "ZooModel",
    "__version__",
    "explain",
    "iter_clips",
    "keyframes",
    "list_models",
    "load",
    "probe",
    "read_clip",
    "run",
    "scenes",
    "stream",
    "windows",
]

_HOMES = {
    "Explanation": "zoo.explanation",
    "RunResult": "zoo.runner.stages",
    "ZooModel": "zoo.model",
    "explain": "zoo.explanation",
    "iter_clips": "zoo.data",
    "keyframes": "zoo.data",
    "list_models": "zoo.listing",
    "load": "zoo.model",
    "probe": "zoo.data",
    "read_clip": "zoo.data",
    "run": "zoo.runner.stages",
    "scenes": "zoo.data",
    "stream": "zoo.streaming",
    "windows": "zoo.data",
}

__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
