"""Applies compression strategies in order; what is measured after each is what a user of the saved model would get."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Module

from zoo.build import build
from zoo.compress.context import Context
from zoo.compress.measure import Measurement, Reference, measure
from zoo_registry.catalog import Listed
from zoo_registry.entries import Compression
from zoo_registry.errors import PluginError, Problem, RunError, ZooError

ORIGINAL = "original"

Step = Mapping[str, Any]
"""`{strategy, version, record}`: what `zoo.compress.structure.restore_structure` needs to do it again."""

Reload = Callable[[Module, Sequence[Step]], tuple[Module, int]]
"""Saves a module with its structure, loads it strictly into a freshly built one; returns that and the file's bytes."""


@dataclass(frozen=True)
class Planned:
    """A strategy that a recipe names.

    Attributes:
        listed: entry of kind compression.
        params: its parameters.
        max_drop: how much worse than the original's the task's monitored metric may be after it; None for no bound.
    """

    listed: Listed
    params: Mapping[str, Any]
    max_drop: float | None = None


@dataclass(frozen=True)
class Compressed:
    """What compression made.

    Attributes:
        module: the last good stage, as it was loaded from its file; in eval mode, on the context's device.
        structure: what to store with its weights, one step a strategy.
        measurements: of the original, then after each strategy, the one that missed its bound included.
        problem: what bound the last strategy has missed; None where it was good enough.
        rejected: the module that missed it, and its structure; None without a problem.
    """

    module: Module
    structure: tuple[dict[str, Any], ...]
    measurements: tuple[Measurement, ...]
    problem: Problem | None = None
    rejected: tuple[Module, tuple[dict[str, Any], ...]] | None = None


def compress(
    module: Module,
    strategies: Sequence[Planned],
    context: Context,
    *,
    reload: Reload,
    structure: Sequence[Step] = (),
    progress: Callable[[str], None] | None = None,
) -> Iterator[Compressed]:
    """Apply strategies one after another, each to the reloaded result of the one before.

    A copy is compressed; the original stays as it is. Every stage is saved and loaded again before it is measured,
    so a number in the table is the number of a file that exists.

    Args:
        module: the model.
        strategies: what to apply, in order.
        context: data, device and metrics.
        reload: saves and loads; see `Reload`.
        structure: what earlier compression has done to the model already.
        progress: told what is being done, a line at a time.

    Yields:
        What there is after the original was measured, and after each strategy. Nothing follows one with a problem: its
        module and structure are those of the stage before.

    Raises:
        ParameterError: a parameter that a strategy does not admit.
        PluginError: a strategy failed, or left a record that is not JSON.
        ArtefactError: a strategy left a model that its `restore` cannot rebuild.
        RunError: a bound without validation data to judge by.
    """
    say = progress or (lambda text: None)
    applied = [(planned, build(planned.listed, planned.params)) for planned in strategies]  # complain before all else
    _check_bounds(strategies, context)
    done = [dict(step) for step in structure]
    current, size = reload(copy.deepcopy(module).eval(), done)
    current = current.eval().to(context.device)
    measurements = [measure(ORIGINAL, current, size, context)]
    original = Reference(current, context.outputs(current), measurements[0].metrics)
    yield Compressed(current, tuple(done), tuple(measurements))
    for planned, apply in applied:
        name = planned.listed.name
        say(f"compress {name}")
        changed, record = _apply(planned.listed, apply, copy.deepcopy(current), context)
        structure_now = [*done, {"strategy": name, "version": _version(planned.listed), "record": record}]
        say(f"measure {name}")
        reloaded, size = reload(changed.eval(), structure_now)
        reloaded = reloaded.eval().to(context.device)
        measurements.append(measure(name, reloaded, size, context, original))
        problem = _missed(planned, measurements[-1], context)
        if problem is None:
            current, done = reloaded, structure_now
        rejected = None if problem is None else (reloaded, tuple(structure_now))
        yield Compressed(current, tuple(done), tuple(measurements), problem, rejected)
        if problem is not None:
            return


def _check_bounds(strategies: Sequence[Planned], context: Context) -> None:
    bounded = [planned.listed.name for planned in strategies if planned.max_drop is not None]
    if bounded and context.val is None:
        raise RunError(
            f"max_drop of {', '.join(bounded)} cannot be judged without validation data", hint="fill data.val"
        )


def _missed(planned: Planned, measured: Measurement, context: Context) -> Problem | None:
    """What to say where a stage costs more than it may; a metric that is not a number is never good enough."""
    bound, drop, metric = planned.max_drop, measured.drop, context.monitor[0]
    if bound is None or (drop is not None and drop <= bound):
        return None
    found = "unknown" if drop is None else f"{drop:.4g} worse"
    return Problem(
        f"{planned.listed.name} cost more than its max_drop of {bound:g}: {metric} is {found}; "
        "what was there before it is kept",
        hint="make it weaker, train the model after it, or raise max_drop",
    )


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
