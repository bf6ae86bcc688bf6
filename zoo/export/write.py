"""Writes a model with an exporter, and gives the file its name only after it was read back and said the same."""

from __future__ import annotations

import copy
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from zoo.build import build
from zoo.compress.latency import measure_latency
from zoo.export.comparison import Comparison, compare, difference
from zoo.export.preparing import Preparing
from zoo.export.raw_clips import CLIP, Unprepared
from zoo.export.target import cannot_write, check_writable
from zoo_registry import Rounded
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
GREY_LEVELS = 3.0
"""How far, on the mean, pixels that a file prepares may be from those that the decoder does, of 255.

Two rights differ by 1.2 on films of the world (measured on 16: the decoder scales a film's half-sized colours before
they become RGB), more on small ones of bright shapes. Where one pixel is further from the next than this, so far is
allowed: a window that is wrong by a pixel is further off on all that have something to see.
"""

Calibration = Callable[[int], Iterator[tuple[Tensor, ...]]]
"""`(batches) -> inputs of the model`, from training data."""


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
        grey_levels: of a file that prepares pixels itself, how far they are on the mean from those that the decoder
            prepares, of 255; None for other files.
        ordinary_agreement: of such a file on frames as films have them, with the model on ordinarily prepared clips.
    """

    path: Path
    format: str
    bytes: int
    max_difference: float
    allowed: float
    agreement: float | None
    samples: int
    latency_ms: float
    grey_levels: float | None = None
    ordinary_agreement: float | None = None


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
    calibration: Calibration | None = None,
    metadata: Mapping[str, Any] | None = None,
    unprepared: Unprepared | None = None,
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
        tolerance: largest difference allowed, see `zoo.export.comparison.Comparison`; an exporter that rounds, such as
            to int8, says itself how far its file may be.
        progress: told what is being done, a line at a time.
        calibration: training data, for exporters that quantise.
        metadata: JSON-able description of the model that is kept in the file, see `zoo.export.description`.
        unprepared: where the file shall take uint8 frames of any size, and prepare them itself: the clip spec, and
            clips to compare on as their films have them.

    Returns:
        What was written and how it compares.

    Raises:
        ExportError: the exporter cannot write the model, its file cannot be written there or read, or says something
            else.
        ParameterError: a parameter that the exporter does not admit.
    """
    say = progress or (lambda text: None)
    path = Path(path)
    check_writable(path)
    model = copy.deepcopy(module).to("cpu").eval()
    on_cpu = tuple(tensor.detach().cpu() for tensor in example)
    grey_levels = ordinary_agreement = None
    if unprepared is not None:
        say("compare prepared pixels")
        bare, model = model, _preparing(model, unprepared, inputs)
        grey_levels, ordinary_agreement = _against_ordinary(bare, model, unprepared, predict)
        on_cpu = tuple(next(unprepared.pairs())[0].inputs.values())
        batches = (raw for raw, _ in unprepared.pairs())
        calibration = None if calibration is None else _raw_calibration(unprepared)
    provided = {
        "inputs": tuple(inputs) or None,
        "calibration": calibration,
        "metadata": metadata,
        "free_axes": {CLIP: (3, 4)} if unprepared is not None else _native_axes(metadata),
    }
    write = build(listed, params, provided)
    with _draft(path) as draft:
        say(f"export {listed.name}")
        with _named(listed):
            rounded = write(model, on_cpu, draft)
        say(f"compare {listed.name}")
        work = _Compared(listed, model, on_cpu, predict, tolerance, rounded if isinstance(rounded, Rounded) else None)
        found = work.read_back(draft, _first_alone(batches))
        found = replace(found, grey_levels=grey_levels, ordinary_agreement=ordinary_agreement)
        return replace(found, path=path, bytes=_move(draft.parent, path))


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A file of the same name in a folder beside it, which goes away with whatever is left in it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    with folder as name:
        yield Path(name) / path.name


def _preparing(model: Module, unprepared: Unprepared, inputs: Sequence[str]) -> Module:
    if CLIP not in inputs:
        raise ExportError(
            f"preprocess: true prepares clips, and this model takes {', '.join(inputs) or 'unnamed inputs'}",
            hint="leave `preprocess` out",
        )
    return Preparing(model, unprepared.clip, tuple(inputs).index(CLIP)).eval()


def _against_ordinary(
    bare: Module, model: Module, unprepared: Unprepared, predict: Predict
) -> tuple[float, float | None]:
    """How far pixels prepared inside are from the decoder's, in grey levels, and what that changes in answers."""
    preparation: Any = model.preparation
    levels, steps, pairs = [], [], []
    with torch.no_grad():
        for raw, ordinary in unprepared.pairs():
            apart = (preparation(raw.inputs[CLIP]) - ordinary.inputs[CLIP]) / preparation.scale
            levels.append(apart.abs().mean().item())
            steps.append((ordinary.inputs[CLIP].diff(dim=-1) / preparation.scale).abs().mean().item())
            pairs.append((predict(bare, ordinary), predict(model, raw)))
    if not levels:
        raise ExportError("there is no data to compare the exported file on", hint="fill data.val")
    mean, allowed = sum(levels) / len(levels), max(GREY_LEVELS, sum(steps) / len(steps))
    if not mean <= allowed:
        raise ExportError(
            f"pixels prepared inside the file are {mean:.1f} grey levels from those that the decoder prepares, "
            f"{allowed:.1f} are allowed",
            hint="leave `preprocess` out, and say with which clip spec and films this happens",
        )
    return mean, compare(pairs).agreement


def _raw_calibration(unprepared: Unprepared) -> Calibration:
    return lambda count: (tuple(raw.inputs.values()) for raw, _ in islice(unprepared.pairs(), count))


def _native_axes(metadata: Mapping[str, Any] | None) -> Mapping[str, tuple[int, ...]] | None:
    """Height and width of a model whose clips are as large as their films."""
    clip = (metadata or {}).get("clip") or {}
    return {CLIP: (3, 4)} if clip.get("size") == "native" else None


@dataclass(frozen=True)
class _Compared:
    """What a written file is held against."""

    listed: Listed
    model: Module
    example: Sequence[Tensor]
    predict: Predict
    tolerance: float
    rounded: Rounded | None

    def read_back(self, draft: Path, batches: Iterable[Batch]) -> Exported:
        """Open the written file, and say how it compares with its model if that is well enough."""
        if not draft.is_file():
            raise ExportError(f"{self.listed.name} wrote no file", hint=_source(self.listed))
        pairs: list[tuple[Outputs, Outputs]] = []
        unsteady = 0.0
        with _named(self.listed), torch.no_grad():
            loaded = self.listed.resolve_builder("load")(draft)
            for batch in batches:
                expected = self.predict(self.model, batch)
                pairs.append((expected, self.predict(loaded, batch)))
                with _nudged(self.model):
                    apart = difference(expected, self.predict(self.model, batch))
                # A model whose nudged self gives another number of answers says nothing of how far a file may be.
                unsteady = max(unsteady, apart if math.isfinite(apart) else 0.0)
            latency = measure_latency(loaded, self.example)
        if not pairs:
            raise ExportError("there is no data to compare the exported file on", hint="fill data.val")
        comparison = compare(pairs)
        allowed = self.rounded.max_difference if self.rounded else max(self.tolerance, STEADINESS * unsteady)
        self._check(comparison, allowed)
        return Exported(
            path=draft,
            format=self.listed.entry.name,
            bytes=draft.stat().st_size,
            max_difference=comparison.max_difference,
            allowed=allowed,
            agreement=comparison.agreement,
            samples=comparison.samples,
            latency_ms=latency.p50_ms,
        )

    def _check(self, comparison: Comparison, allowed: float) -> None:
        name, agreement = self.listed.name, comparison.agreement
        if not math.isfinite(comparison.max_difference):
            raise ExportError(
                f"{name}: {comparison.furthest or 'an output'} of the file has another shape or name than the model's, "
                "or values that are no numbers where the model's are; it was not kept",
                hint="a model that returns as many rows as it finds (boxes above a score) is written without that step",
            )
        if comparison.max_difference > allowed:
            outputs = f" (in {comparison.furthest})" if comparison.furthest else ""
            raise ExportError(
                f"{name}: the file differs from the model by {comparison.max_difference:.3g} on "
                f"{comparison.samples} samples{outputs}, {allowed:.3g} is allowed; it was not kept",
                hint="other parameters of the exporter may follow the model better",
            )
        if self.rounded and agreement is not None and agreement < self.rounded.min_agreement:
            raise ExportError(
                f"{name}: the file gives the model's first answer for {agreement:.1%} of {comparison.samples} samples, "
                f"{self.rounded.min_agreement:.1%} are asked for; it was not kept",
                hint="calibrate on more batches, keep more modules in float32, or lower `min_agreement`",
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
    try:
        for file in files:
            os.replace(file, path.with_name(file.name))
    except OSError as error:
        raise cannot_write(path, error) from error
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
