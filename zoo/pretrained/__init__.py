"""Published weights: found by tag or URI, fetched, verified, converted, and put into a module key by key."""

from zoo.pretrained.by_name import clip_of, load_by_name, load_weights
from zoo.pretrained.fetching import fetch
from zoo.pretrained.fitting import LoadedWeights, refuse_random_classifier

__all__ = ["LoadedWeights", "clip_of", "fetch", "load_by_name", "load_weights", "refuse_random_classifier"]
