"""How other libraries describe the models that they publish; read as untrusted input, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.artefact.file_names import CONFIG
from zoo.hub.card_parts import split_card
from zoo.hub.layout import CARD, PREPROCESSOR
from zoo_registry.errors import HubError

DESCRIBED_BY = (CONFIG, PREPROCESSOR, CARD)
"""The files that adapters look at."""

_LARGEST = 2**22


def describe(folder: Path) -> dict[str, Mapping[str, Any]]:
    """What adapters look at, by file name; empty mappings for what is not there or cannot be read."""
    return {CONFIG: _json(folder / CONFIG), PREPROCESSOR: _json(folder / PREPROCESSOR), CARD: _head(folder / CARD)}


def licence_of(described: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What the card says, or the configuration; None is shown as unknown."""
    config, card = described[CONFIG], described[CARD]
    nested = config.get("pretrained_cfg")
    for place in (card, config, nested if isinstance(nested, Mapping) else {}):
        licence = place.get("license")
        if licence == "other":
            licence = place.get("license_name", licence)
        if isinstance(licence, str) and licence.isprintable() and 0 < len(licence) <= 100:
            return licence.lower()
    return None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _head(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            return split_card(file.read(_LARGEST).decode("utf-8", "replace")).head
    except (OSError, HubError):
        return {}
