"""Published weights: found by tag or URI, fetched, verified, converted, and put into a module key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.pretrained.by_name import clip_of, load_by_name, load_weights
    from zoo.pretrained.fetching import fetch
    from zoo.pretrained.fitting import LoadedWeights, refuse_random_classifier

__all__ = ["LoadedWeights", "clip_of", "fetch", "load_by_name", "load_weights", "refuse_random_classifier"]

_HOMES = {
    "LoadedWeights": "zoo.pretrained.fitting",
    "clip_of": "zoo.pretrained.by_name",
    "fetch": "zoo.pretrained.fetching",
    "load_by_name": "zoo.pretrained.by_name",
    "load_weights": "zoo.pretrained.by_name",
    "refuse_random_classifier": "zoo.pretrained.fitting",
}

__getattr__ = lazily(__name__, _HOMES)
