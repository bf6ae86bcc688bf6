"""The files of a published model: the only names that are ever sent or fetched."""

from __future__ import annotations

import re

from zoo.artefact.file_names import CONFIG, LABELS, MANIFEST, WEIGHTS

CARD = "README.md"
PREPROCESSOR = "preprocessor_config.json"
INDEX = "model.safetensors.index.json"
FETCHED = (
    MANIFEST, WEIGHTS, LABELS, "recipe.resolved.yaml", "zoo.lock", "metrics.json", "summary.json",
    CONFIG, PREPROCESSOR, CARD,  # how other projects describe their models, and under which licence
)  # fmt: skip
PICKLES = ("pytorch_model.bin", "model.pth", "model.pt")
"""Fetched only where somebody asks for them by name."""
EXTRA = ("recipe.resolved.yaml", "zoo.lock", "metrics.json", "summary.json", "report.html")
_FIGURE = re.compile(r"figures/[A-Za-z0-9][A-Za-z0-9 ._-]*\.png")
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


def is_shard(name: str) -> bool:
    """Whether a file of this name is a part of weights that are kept in several files."""
    return _SHARD.fullmatch(name) is not None


def is_fetched(name: str) -> bool:
    """Whether a file of this name may be fetched."""
    return name in (*FETCHED, *PICKLES, INDEX) or is_shard(name)


def is_extra(name: str) -> bool:
    """Whether a file of this name may go along with a model."""
    return name in EXTRA or _FIGURE.fullmatch(name) is not None


def is_ours(name: str) -> bool:
    """Whether a file of this name in a repository was put there by publishing."""
    return name in (MANIFEST, WEIGHTS, LABELS, CARD) or is_extra(name)
