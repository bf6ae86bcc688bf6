"""Target clips and masks: each has to be readable, and to show the moments of its clip in the same shape."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from zoo.data.audit.findings import Finding
from zoo.data.clips.views import View, placement_of
from zoo.data.targets import CLIP, MASK
from zoo_registry.entries import ClipSpec

if TYPE_CHECKING:
    from zoo.data.audit.reading import FileLook, SpanLook
    from zoo.data.audit.spans import Survey
    from zoo.data.decode.media_info import MediaInfo

SIMULTANEOUS = 0.01
"""Seconds by which the ends of a clip and its target may differ: what the loader allows."""

_WORDS = {CLIP: "target clip", MASK: "mask"}
_ANY = ClipSpec(frames=1, size=256)


def target_findings(
    found: Survey, files: Sequence[FileLook], looks: Sequence[SpanLook], clip: ClipSpec | None
) -> Iterator[Finding]:
    """Target clips and masks that cannot be read, or do not fit their clip; of unreadable clips nothing is said.

    Args:
        found: files and spans.
        files: what was seen, by the number of the job.
        looks: what was seen of every span.
        clip: what the model wants to see.
    """
    for companion in found.companions:
        ours, our_info = looks[companion.clip], files[found.used[companion.clip].file].info
        file = files[companion.job]
        (theirs,) = file.spans
        what = f"its {_WORDS[companion.key]}"
        evidence = {"target": companion.path}
        if theirs.reason or file.info is None:
            kind = "unchecked" if theirs.unforeseen else "unreadable"
            message = f"{companion.places[0].media}: {what} {companion.path} cannot be read: {theirs.reason}"
            yield Finding(kind, message, companion.places, evidence | {"reason": theirs.reason})
        elif our_info is not None and not ours.reason:
            name = f"{what} {os.path.basename(companion.path)}"
            for verb, one, other in _differences((our_info, ours), (file.info, theirs), clip or _ANY):
                message = f"{companion.places[0].key} {verb} {one}; {name} {verb} {other}"
                yield Finding("mismatch", message, companion.places, evidence)


def _differences(
    ours: tuple[MediaInfo, SpanLook], theirs: tuple[MediaInfo, SpanLook], clip: ClipSpec
) -> Iterator[tuple[str, str, str]]:
    """What the loader would refuse, as a verb and how it goes on for either."""
    ends = [(look.begin, look.end) for _, look in (ours, theirs)]
    apart = any(abs(one - other) > SIMULTANEOUS for one, other in zip(*ends, strict=True))
    rates_matter = clip.fps is None and len({look.frames for _, look in (ours, theirs)}) > 1
    if apart or rates_matter:
        one, other = (f"{look.frames} frames, {look.begin:.3g} s to {look.end:.3g} s" for _, look in (ours, theirs))
        yield "has", one, other
    scaled = [placement_of(clip, False, info.height, info.width, View()).scaled for info, _ in (ours, theirs)]
    if any(abs(one - other) > 1 for one, other in zip(*scaled, strict=True)):  # one pixel of rounding
        one, other = (f"{info.width}x{info.height}" for info, _ in (ours, theirs))
        yield "is", one, other
