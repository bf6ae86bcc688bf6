"""Applies compression strategies in order; what is measured after each is what a user of the saved model would get."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Module

from zoo.build import build
from zoo.compress.context import Context
from zoo.compress.measure import Measurement, measure
from zoo_registry.catalog import Listed
from zoo_registry.entries import Compression
from zoo_registry.errors import PluginError, ZooError

ORIGINAL = "original"

Step = Mapping[str, Any]
"""`{strategy, version, record}`: what `zoo.compress.structure.restore_structure` needs to do it again."""

Reload = Callable[[Module, Sequence[Step]], tuple[Module, int]]
"""Saves a module with its structure, loads it strictly into a freshly built one; returns that and the file's bytes."""


@dataclass(frozen=True)
class Compressed:
    """What compression made.

    Attributes:
        module: the last stage, as it was loaded from its file; in eval mode, on the context's device.
        structure: what to store with its weights, one step a strategy.
        measurements: of the original, then after each strategy.
    """

    module: Module
    structure: tuple[dict[str, Any], ...]
    measurements: tuple[Measurement, ...]


def compress(
    module: Module,
    strategies: Sequence[tuple[Listed, Mapping[str, Any]]],
    context: Context,
    *,
    reload: Reload,
    progress: Callable[[str], None] | None = None,
) -> Compressed:
    """Apply strategies one after another, each to the reloaded result of the one before.

    A copy is compressed; the original stays as it is. Every stage is saved and loaded again before it is measured,
    so a number in the table is the number of a file that exists.

    Args:
        module: the model.
        strategies: entries of kind compression and their parameters, in order.
        context: data, device and metrics.
        reload: saves and loads; see `Reload`.
        progress: told what is being done, a line at a time.

    Returns:
        The last module, the structure to save with it and a measurement per stage.

    Raises:
        ParameterError: a parameter that a strategy does not admit.
        PluginError: a strategy failed, or left a record that is not JSON.
        ArtefactError: a strategy left a model that its `restore` cannot rebuild.
    """
    say = progress or (lambda text: None)
    applied = [(listed, build(listed, params)) for listed, params in strategies]  # complain before anything long
    current, size = reload(copy.deepcopy(module).eval(), ())
    current = current.eval().to(context.device)
    reference = context.outputs(current)
    measurements = [measure(ORIGINAL, current, size, context)]
    structure: list[dict[str, Any]] = []
    for listed, apply in applied:
        say(f"compress {listed.name}")
        changed, record = _apply(listed, apply, current, context)
        structure.append({"strategy": listed.name, "version": _version(listed), "record": record})
        say(f"measure {listed.name}")
        current, size = reload(changed.eval(), structure)
        current = current.eval().to(context.device)
        measurements.append(measure(listed.name, current, size, context, reference))
    return Compressed(current, tuple(structure), tuple(measurements))


def _apply(
    listed: Listed, apply: Callable[..., Any], module: Module, context: Context
) -> tuple[Module, dict[str, Any]]:
    """Run one strategy; whatever it raises names the plugin, and its record is what a file will hold of it."""
    source = f"it comes from {listed.plugin.distribution} {listed.plugin.version}"
    try:
        changed, record = apply(module, context)
        written = json.loads(json.dumps(record, allow_nan=False))
    except (ZooError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise PluginError(f"{listed.name} failed: {type(error).__name__}: {error}", hint=source) from error
    if not isinstance(changed, Module) or not isinstance(written, dict):
        raise PluginError(f"{listed.name} must return a module and a mapping", hint=source)
    return changed, written


def _version(listed: Listed) -> int:
    entry = listed.entry
    if not isinstance(entry, Compression):
        raise PluginError(f"{listed.name} is a {entry.kind}, not a compression strategy")
    return entry.version
