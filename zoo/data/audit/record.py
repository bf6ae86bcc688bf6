"""An audit as JSON, for programs: the shape that docs/audit.md describes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zoo.data.audit.balance import imbalance
from zoo.data.audit.findings import KINDS, Finding, Place
from zoo_registry import __version__

if TYPE_CHECKING:
    from zoo.data.audit.audit import Audit
    from zoo.data.audit.cleaning import LeftOut

VERSION = 1
"""Of the shape. It grows when a program that read the old one could be misled."""


def as_json(audit: Audit, out: Sequence[LeftOut] | None = None) -> dict[str, Any]:
    """The whole audit as plain data.

    Args:
        audit: what was found.
        out: what a cleaned manifest leaves out; None when none was written.
    """
    counts = {kind: len(audit.of(kind)) for kind in KINDS}
    cleaned = None if out is None else [{"kind": each.kind, "reason": each.reason} | _place(each.place) for each in out]
    return {
        "format": "videozoo-data-audit",
        "version": VERSION,
        "videozoo": __version__,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "title": audit.title,
        "clean": audit.clean,
        "clip": None if audit.clip is None else asdict(audit.clip),
        "splits": {name: asdict(split) for name, split in audit.splits.items()},
        "counts": {kind: count for kind, count in counts.items() if count},
        "findings": [_finding(finding) for finding in audit.findings],
        "classes": {label: dict(of_class) for label, of_class in audit.counts.items()},
        "imbalance": {name: imbalance(audit.counts, name) for name in audit.splits},
        "labels": None
        if audit.labels is None
        else {
            "method": audit.labels.method,
            "judged": audit.labels.judged,
            "left_out": list(audit.labels.left_out),
        },
        "cleaned": cleaned,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "message": finding.message,
        "samples": [_place(place) for place in finding.places],
        "evidence": dict(finding.evidence),
    }


def _place(place: Place) -> dict[str, Any]:
    return vars(place) | {"labels": list(place.labels)}  # `asdict` takes two minutes for a million samples
