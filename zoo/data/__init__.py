"""From files to batches: decoding, clip sampling, labels, quarantine. Names are handed on lazily; torch is behind them.

>>> from zoo.data import probe, read_clip
>>> clip_cthw = read_clip("film.mp4", ClipSpec(frames=16, stride=4, size=224))     # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.data.audio import read_audio
    from zoo.data.audit import audit_recipe, audit_splits
    from zoo.data.clip import Clip, read_clip
    from zoo.data.clip_stream import iter_clips
    from zoo.data.film import Decoder
    from zoo.data.keyframe_times import keyframes
    from zoo.data.loader import Loader
    from zoo.data.media_info import MediaInfo, probe
    from zoo.data.placement import Placement
    from zoo.data.preprocess import Preprocess
    from zoo.data.quarantine import BadFile, Quarantine
    from zoo.data.scene_cuts import scenes
    from zoo.data.sliding_windows import windows
    from zoo.data.split import Split, fingerprint, open_split
    from zoo.data.views import view_position

_HOMES = {
    "BadFile": "quarantine",
    "Decoder": "film",
    "Clip": "clip",
    "Loader": "loader",
    "MediaInfo": "media_info",
    "Placement": "placement",
    "Preprocess": "preprocess",
    "Quarantine": "quarantine",
    "Split": "split",
    "audit_recipe": "audit",
    "audit_splits": "audit",
    "fingerprint": "split",
    "iter_clips": "clip_stream",
    "keyframes": "keyframe_times",
    "open_split": "split",
    "probe": "media_info",
    "read_audio": "audio",
    "read_clip": "clip",
    "scenes": "scene_cuts",
    "view_position": "views",
    "windows": "sliding_windows",
}

__all__ = [
    "BadFile",
    "Clip",
    "Decoder",
    "Loader",
    "MediaInfo",
    "Placement",
    "Preprocess",
    "Quarantine",
    "Split",
    "audit_recipe",
    "audit_splits",
    "fingerprint",
    "iter_clips",
    "keyframes",
    "open_split",
    "probe",
    "read_audio",
    "read_clip",
    "scenes",
    "view_position",
    "windows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.data.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
