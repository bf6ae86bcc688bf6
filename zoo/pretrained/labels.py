"""The names of the classes that published weights know."""

from __future__ import annotations

import importlib
import json
import warnings
from importlib.resources import files
from typing import TYPE_CHECKING

from zoo.pretrained.fetching import fetch
from zoo_registry.errors import HubError, PluginError

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed
    from zoo_registry.entries import Weights

_CONFIG = "config.json"


def label_names(listed: Listed, weights: Weights) -> tuple[str, ...]:
    """Names of classes in the order of the outputs; empty when nobody says them.

    Raises:
        PluginError: the entry promises names that are not there, or not as many as the weights have classes.
    """
    place = weights.label_file
    if place is None:
        return ()
    if place.startswith("hf://"):
        try:
            names = _of_config(place)
        except HubError as error:
            warnings.warn(
                f"the names of the classes of {listed.name}.{weights.tag} cannot be fetched: {error}", stacklevel=4
            )
            return ()
    else:
        try:
            names = _of_package(place)
        except Exception as error:  # a plugin may raise anything when it is imported
            raise _unusable(listed, weights, f"{type(error).__name__}: {error}") from error
    if weights.labels not in (None, len(names)):
        raise _unusable(listed, weights, f"{len(names)} names for {weights.labels} classes")
    return names


def _of_package(place: str) -> tuple[str, ...]:
    package, _, inside = place.partition(":")
    if inside.endswith(".txt"):
        return tuple(files(package).joinpath(inside).read_text(encoding="utf-8").splitlines())
    return tuple(getattr(importlib.import_module(package), inside)())


def _of_config(uri: str) -> tuple[str, ...]:
    """The names in the `config.json` that transformers keeps beside its weights."""
    path = fetch(uri, files=(_CONFIG,)).path / _CONFIG
    try:
        by_index = json.loads(path.read_text(encoding="utf-8"))["id2label"]
        return tuple(str(by_index[str(index)]) for index in range(len(by_index)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise HubError(f"{uri} names no classes in its {_CONFIG}: {type(error).__name__}: {error}") from None


def _unusable(listed: Listed, weights: Weights, why: str) -> PluginError:
    return PluginError(
        f"the label file {weights.label_file!r} of {listed.name}.{weights.tag} cannot be used: {why}",
        where=listed.plugin.where,
    )
