"""What an audit finds: kinds of findings, and the findings themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

MOST_HONEST = ("test", "val", "train")
"""Splits by what they are worth: what is measured on should be shown nowhere else."""


@dataclass(frozen=True)
class Kind:
    """One thing that can be wrong with data.

    Attributes:
        name: as the JSON has it.
        title: as people read it.
        severity: errors spoil a result or a run, warnings should be looked at, notes are good to know.
        advice: what to do.
    """

    name: str
    title: str
    severity: Severity
    advice: str


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "leak", "Leakage between splits", "error", "What a model was trained on says nothing about how good it is."
        ),
        Kind("unreadable", "Unreadable", "error", "A run puts these in quarantine; get them again or leave them out."),
        Kind("unchecked", "Not checked", "error", "The reader failed in a way nobody foresaw: please report it."),
        Kind(
            "mismatch",
            "Targets that do not fit",
            "error",
            "A run puts these in quarantine: a target shows what its clip shows.",
        ),
        Kind("no_sound", "Without sound", "error", "The model wants sound; a run puts these in quarantine."),
        Kind("contradiction", "One film, two labels", "error", "At most one of the labels is right."),
        Kind(
            "duplicate", "Duplicates within a split", "warning", "Copies count double in training and in every measure."
        ),
        Kind(
            "overlap",
            "Overlaps within a split",
            "warning",
            "Copies of one file, used in spans that overlap: what they share counts double.",
        ),
        Kind(
            "shared_film", "One film in several splits", "warning", "Other moments of one film: the scene is the same."
        ),
        Kind("black", "Black", "warning", "Nothing can be seen in them."),
        Kind("frozen", "Frozen", "warning", "One picture stands still from beginning to end."),
        Kind("short", "Too short for a clip", "warning", "The last frame is repeated until the clip is full."),
        Kind(
            "fps",
            "Other frame rates",
            "warning",
            "A stride counts frames: `data.clip.fps` resamples all films by time.",
        ),
        Kind("label", "Labels that are likely wrong", "warning", "The likeliest mistakes come first."),
        Kind(
            "missing_class", "Classes without films", "warning", "What no film shows is not learned, or not measured."
        ),
        Kind(
            "doubt",
            "Labels that the judge would not give",
            "note",
            "Some are wrong, of others the judge is: look at the first.",
        ),
        Kind("imbalance", "Uneven classes", "note", "A macro-averaged measure says more than accuracy here."),
        Kind("partly_black", "Black in parts", "note", "Clips from these times show nothing."),
        Kind("partly_frozen", "Frozen in parts", "note", "Clips from these times show no motion."),
        Kind("size", "Other sizes", "note", "Detail differs from that of the other films."),
        Kind("aspect", "Other shapes", "note", "A crop sees less of these films, or a resize distorts them."),
        Kind("duration", "Other durations", "note", "A clip shows a larger or smaller part of these films."),
    )
}
"""Every kind, the worst first: the order of reports."""


@dataclass(frozen=True)
class Place:
    """One sample.

    Attributes:
        split: `train`, `val` or `test`.
        index: its number in the split, from 0.
        media: path of its file.
        key: what a person recognises it by.
        start, end: of its span in seconds, None for the whole film.
        labels: its class names.
    """

    split: str
    index: int
    media: str
    key: str
    start: float | None = None
    end: float | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: a name of `KINDS`.
        message: what is wrong, in one sentence without a full stop.
        places: the samples it is about; of copies all of them.
        evidence: what was measured, JSON-able; `docs/audit.md` says what each kind has.
    """

    kind: str
    message: str
    places: tuple[Place, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """Of its kind."""
        return KINDS[self.kind].severity


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """The worst kinds first; within a kind as they were found."""
    order = list(KINDS)
    return sorted(findings, key=lambda finding: order.index(finding.kind))
