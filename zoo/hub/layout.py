"""The files of a published model: the only names that are ever sent or fetched."""

from __future__ import annotations

import re

from zoo.artefact.file_names import LABELS, MANIFEST, WEIGHTS

CARD = "README.md"
FETCHED = (
    MANIFEST, WEIGHTS, LABELS, "recipe.resolved.yaml", "zoo.lock", "metrics.json", "summary.json",
    "config.json",  # where transformers keeps the names of classes
)  # fmt: skip
EXTRA = ("recipe.resolved.yaml", "zoo.lock", "metrics.json", "summary.json", "report.html")
_FIGURE = re.compile(r"figures/[A-Za-z0-9][A-Za-z0-9 ._-]*\.png")


def is_extra(name: str) -> bool:
    """Whether a file of this name may go along with a model."""
    return name in EXTRA or _FIGURE.fullmatch(name) is not None


def is_ours(name: str) -> bool:
    """Whether a file of this name in a repository was put there by publishing."""
    return name in (MANIFEST, WEIGHTS, LABELS, CARD) or is_extra(name)
