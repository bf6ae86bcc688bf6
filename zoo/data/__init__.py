"""From files to batches: decoding, clip sampling, labels, quarantine. Names are handed on lazily; torch is behind them.

>>> from zoo.data import probe, read_clip
>>> clip_cthw = read_clip("film.mp4", ClipSpec(frames=16, stride=4, size=224))     # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.data.audit import audit_recipe, audit_splits
    from zoo.data.clips.clip import Clip, read_clip
    from zoo.data.clips.clip_stream import iter_clips
    from zoo.data.clips.placement import Placement
    from zoo.data.clips.scene_cuts import scenes
    from zoo.data.clips.sliding_windows import windows
    from zoo.data.clips.views import view_position
    from zoo.data.decode.audio import read_audio
    from zoo.data.decode.film import Decoder
    from zoo.data.decode.keyframe_times import keyframes
    from zoo.data.decode.media_info import MediaInfo, probe
    from zoo.data.loading.loader import Loader
    from zoo.data.loading.quarantine import BadFile, Quarantine
    from zoo.data.preprocess import Preprocess
    from zoo.data.split import Split, fingerprint, open_split

_HOMES = {
    "BadFile": "loading.quarantine",
    "Decoder": "decode.film",
    "Clip": "clips.clip",
    "Loader": "loading.loader",
    "MediaInfo": "decode.media_info",
    "Placement": "clips.placement",
    "Preprocess": "preprocess",
    "Quarantine": "loading.quarantine",
    "Split": "split",
    "audit_recipe": "audit",
    "audit_splits": "audit",
    "fingerprint": "split",
    "iter_clips": "clips.clip_stream",
    "keyframes": "decode.keyframe_times",
    "open_split": "split",
    "probe": "decode.media_info",
    "read_audio": "decode.audio",
    "read_clip": "clips.clip",
    "scenes": "clips.scene_cuts",
    "view_position": "clips.views",
    "windows": "clips.sliding_windows",
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

__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
