"""Writes a model with an exporter, and gives the file its name only after it was read back and said the same."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from zoo.build import build
from zoo.compress.latency import measure_latency
from zoo.export.comparison import compare, difference
from zoo_registry.catalog import Listed
from zoo_registry.errors import ExportError, ZooError
from zoo_registry.protocols import Batch, Outputs

Predict = Callable[[Callable[..., Any], Batch], Outputs]
"""A task's `predict`: what a callable says about a preprocessed batch."""

NUDGE = 2.0**-18
"""What goes into and comes out of every layer is changed by this part of itself, to see how steady a model is.

That is the size of the roundings in which two runtimes differ when they add up some hundred products in float32. A
model in float32 answers with a change as small, far below `tolerance`; one that rounds inside (simulated quantisation)
jumps where a value crosses a step, as it does between runtimes.
"""
STEADINESS = 4.0
"""A file may differ from its model by as many times what the model differs from itself."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, read back and compared.

    Attributes:
        path: the file.
        format: name of the exporter.
        bytes: of the file, and of what lies beside it for weights beyond 2 GiB.
        max_difference: see `zoo.export.comparison.Comparison`.
        allowed: how large it could have been.
        agreement: part of the samples with the same first answer; None for tasks without classes.
        samples: how many were compared.
        latency_ms: median time of one sample through the file, on the CPU, in milliseconds.
    """

    path: Path
    format: str
    bytes: int
    max_difference: float
    allowed: float
    agreement: float | None
    samples: int
    latency_ms: float


def export(
    module: Module,
    listed: Listed,
    params: Mapping[str, Any],
    *,
    example: Sequence[Tensor],
    path: str | Path,
    batches: Iterable[Batch],
    predict: Predict,
    inputs: Sequence[str] = (),
    tolerance: float = 1e-3,
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Write a model to a file that says the same, or leave no file.

    Everything is done on the CPU, on a copy. A model that rounds inside (simulated quantisation) can answer differently
    to inputs that differ in their last bits; how much is measured, and a file may differ by four times that even
    where it is more than `tolerance`.

    Args:
        module: the model.
        listed: the exporter.
        params: its parameters, as in a recipe.
        example: inputs of one preprocessed batch, in the order the model takes them.
        path: the file; a file of that name is replaced.
        batches: real, preprocessed batches to compare on.
        predict: the task's.
        inputs: names of the model's inputs.
        tolerance: largest difference allowed, see `zoo.export.comparison.Comparison`.
        progress: told what is being done, a line at a time.

    Returns:
        What was written and how it compares.

    Raises:
        ExportError: the exporter cannot write the model, its file cannot be read, or says something else.
        ParameterError: a parameter that the exporter does not admit.
    """
    say = progress or (lambda text: None)
    path = Path(path)
    write = build(listed, params, {"inputs": tuple(inputs) or None})
    model = copy.deepcopy(module).to("cpu").eval()
    on_cpu = tuple(tensor.detach().cpu() for tensor in example)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent, ignore_cleanup_errors=True) as folder:
        draft = Path(folder) / path.name
        say(f"export {listed.name}")
        with _named(listed):
            write(model, on_cpu, draft)
        say(f"compare {listed.name}")
        found = _read_back(listed, draft, model, on_cpu, _first_alone(batches), predict, tolerance)
        return replace(found, path=path, bytes=_move(Path(folder), path))


def _read_back(
    listed: Listed,
    draft: Path,
    model: Module,
    example: Sequence[Tensor],
    batches: Iterable[Batch],
    predict: Predict,
    tolerance: float,
) -> Exported:
    """Open the written file, and say how it compares with its model if that is well enough."""
    if not draft.is_file():
        raise ExportError(f"{listed.name} wrote no file", hint=_source(listed))
    pairs: list[tuple[Outputs, Outputs]] = []
    unsteady = 0.0
    with _named(listed), torch.no_grad():
        loaded = listed.resolve_builder("load")(draft)
        for batch in batches:
            expected = predict(model, batch)
            pairs.append((expected, predict(loaded, batch)))
            with _nudged(model):
                unsteady = max(unsteady, difference(expected, predict(model, batch)))
        latency = measure_latency(loaded, example)
    if not pairs:
        raise ExportError("there is no data to compare the exported file on", hint="fill data.val")
    comparison, allowed = compare(pairs), max(tolerance, STEADINESS * unsteady)
    if comparison.max_difference > allowed:
        raise ExportError(
            f"{listed.name}: the file differs from the model by {comparison.max_difference:.3g} on "
            f"{comparison.samples} samples, {allowed:.3g} is allowed; it was not kept",
            hint="other parameters of the exporter may follow the model better",
        )
    return Exported(
        path=draft,
        format=listed.entry.name,
        bytes=draft.stat().st_size,
        max_difference=comparison.max_difference,
        allowed=allowed,
        agreement=comparison.agreement,
        samples=comparison.samples,
        latency_ms=latency.p50_ms,
    )


def _first_alone(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The same samples with the very first as a batch of its own: a file can be right for one batch size only."""
    for number, batch in enumerate(batches):
        on_cpu = batch.to("cpu")
        if number == 0 and len(batch) > 1:
            yield on_cpu.rows(slice(0, 1))
            yield on_cpu.rows(slice(1, None))
        else:
            yield on_cpu


@contextmanager
def _nudged(model: Module) -> Iterator[None]:
    """What goes into and out of every layer is changed: each second number a little larger, the others smaller."""

    def nudge(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(map(nudge, value))
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        up = torch.arange(value.numel()).reshape(value.shape) % 2 == 0
        return torch.where(up, value * (1 + NUDGE), value * (1 - NUDGE))

    layers = [layer for layer in model.modules() if not list(layer.children())]
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: nudge(inputs)) for layer in layers]
    hooks += [layer.register_forward_hook(lambda _, inputs, output: nudge(output)) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _move(folder: Path, path: Path) -> int:
    """Give the files their final names, the one that refers to the others last; returns their size in bytes."""
    files = sorted(folder.iterdir(), key=lambda file: file.name == path.name)
    size = sum(file.stat().st_size for file in files)
    for file in files:
        os.replace(file, path.with_name(file.name))
    return size


@contextmanager
def _named(listed: Listed) -> Iterator[None]:
    """Whatever an exporter's code raises says whose it is."""
    try:
        yield
    except (ZooError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ExportError(f"{listed.name} failed: {type(error).__name__}: {error}", hint=_source(listed)) from error


def _source(listed: Listed) -> str:
    return f"it comes from {listed.plugin.distribution} {listed.plugin.version}"
