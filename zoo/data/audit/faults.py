"""Faults of single films: unreadable, black, frozen, short, silent, or unlike the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.audit.black_and_frozen import dark_findings, still_findings
from zoo.data.audit.findings import Finding
from zoo.data.audit.outliers import outlying

if TYPE_CHECKING:
    from zoo.data.audit.reading import FileLook, SpanLook
    from zoo.data.audit.spans import Survey, Used
    from zoo.data.decode.media_info import MediaInfo
    from zoo_registry.entries import ClipSpec


def fault_findings(
    found: Survey,
    files: Sequence[FileLook],
    looks: Sequence[SpanLook],
    clip: ClipSpec | None,
    inputs: Sequence[str],
) -> Iterator[Finding]:
    """Everything that is wrong with single films.

    Args:
        found: files and spans.
        files: what was seen of every file.
        looks: what was seen of every span.
        clip: what the model wants to see; None when it takes no clip.
        inputs: keys of `Batch.inputs` that the model takes.
    """
    for used, look in zip(found.used, looks, strict=True):
        info = files[used.file].info
        if look.reason or info is None:
            kind = "unchecked" if look.unforeseen else "unreadable"
            yield Finding(kind, f"{used.places[0].media}: {look.reason}", used.places, {"reason": look.reason})
            continue
        yield from dark_findings(used, look)
        yield from still_findings(used, look)
        if clip is not None and "clip_bcthw" in inputs:
            yield from _short(used, look, info, clip)
        if "audio_bcn" in inputs and info.audio is None:
            yield Finding("no_sound", f"{used.places[0].key} has no sound", used.places)
    yield from _outliers(found, files, looks, clip)


def _short(used: Used, look: SpanLook, info: MediaInfo, clip: ClipSpec) -> Iterator[Finding]:
    """A span with fewer frames than the clip reaches over; pictures are films of one frame on purpose."""
    if info.frames == 1:
        return
    dense = getattr(clip, "sampling", "dense") == "dense"  # other samplings spread their frames over any span
    needed = (clip.frames - 1) * clip.stride + 1 if dense else clip.frames
    there = max(1, round((look.end - look.begin) * clip.fps)) if clip.fps else look.frames
    if there < needed:
        rate = f" at {clip.fps:g} fps" if clip.fps else ""
        message = f"{used.places[0].key} has {there} frame{'s' * (there > 1)}{rate}, a clip reaches over {needed}"
        yield Finding("short", message, used.places, {"frames": there, "needed": needed})


@dataclass(frozen=True)
class _Measure:
    """A property that films of a data set usually share.

    Attributes:
        kind: of the finding.
        factor: how many times larger or smaller than the median an outlier is at least.
        value: what is compared.
        words: how a person says it.
    """

    kind: str
    factor: float
    value: Callable[[MediaInfo, SpanLook], float]
    words: Callable[[MediaInfo, SpanLook], str]


_MEASURES = (
    _Measure("fps", 1.25, lambda info, look: info.fps, lambda info, look: f"{info.fps:.4g} fps"),
    _Measure("size", 1.5, lambda info, look: (info.width * info.height) ** 0.5, lambda info, look: _size(info)),
    _Measure("aspect", 1.25, lambda info, look: info.width / info.height, lambda info, look: _size(info)),
    _Measure(
        "duration", 4.0, lambda info, look: look.end - look.begin, lambda info, look: f"{look.end - look.begin:.3g} s"
    ),
)


def _outliers(
    found: Survey, files: Sequence[FileLook], looks: Sequence[SpanLook], clip: ClipSpec | None
) -> Iterator[Finding]:
    seen = [
        (used, look, info)
        for used, look in zip(found.used, looks, strict=True)
        if not look.reason and (info := files[used.file].info) is not None
    ]
    films = [(used, look, info) for used, look, info in seen if info.frames > 1]  # a picture has no rate or duration
    for measure in _MEASURES:
        if measure.kind == "fps" and clip is not None and clip.fps:
            continue  # films are resampled by time
        among = films if measure.kind in ("fps", "duration") else seen
        values = [measure.value(info, look) for _, look, info in among]
        outliers = outlying(values, measure.factor)
        if not outliers:
            continue
        _, usual_look, usual_info = among[int(np.argsort(values, kind="stable")[len(values) // 2])]
        usual = measure.words(usual_info, usual_look)
        for place in outliers:
            used, look, info = among[place]
            message = f"{used.places[0].key}: {measure.words(info, look)}, usual is {usual}"
            evidence = {"value": round(values[place], 4), "median": round(float(np.median(values)), 4)}
            yield Finding(measure.kind, message, used.places, evidence)


def _size(info: MediaInfo) -> str:
    return f"{info.width}x{info.height}"
