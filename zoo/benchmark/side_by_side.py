"""Runs models side by side, in turns, each in a process of its own."""

from __future__ import annotations

import inspect
import math
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from zoo.benchmark.bench_table import Row
from zoo.benchmark.side import EAGER, Backend, Side
from zoo.benchmark.worker import Loaded, clips_of, open_model, serve
from zoo.export.comparison import compare
from zoo.export.file_format import file_reference
from zoo.export.model_export import export_model, predict_of
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import NameProblem, ParameterError, RunError, ZooError
from zoo_registry.names import Name, reference_kind
from zoo_registry.protocols import Outputs

TURNS = 10
PATIENCE = 900
"""Seconds that a process may take to load, compile and warm up."""

NUM_CLASSES = 400
"""Outputs of a model that is measured without weights: Kinetics-400's."""


@dataclass(frozen=True)
class Settings:
    """What all sides share.

    Attributes:
        device, threads, batch: where, how many threads, how many clips at once.
        seconds: of timed calls for each side.
        films: whose clips are shown and compared; noise without.
        trust: open files whose opening runs their author's code.
    """

    device: str = "cpu"
    threads: int = field(default_factory=torch.get_num_threads)
    batch: int = 1
    seconds: float = 5.0
    films: tuple[str, ...] = ()
    trust: bool = False


def bench(
    models: Sequence[str],
    backends: Sequence[Backend] = (Backend(EAGER),),
    precisions: Sequence[str] = ("fp32",),
    settings: Settings = Settings(),
    *,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """Measure every model by every backend in every precision.

    Sides take turns, so that whatever else the machine does hits all alike. Each has a process of its own, so that its
    memory can be told. A name without a tag is measured with random weights, which cost no download and no time.

    Args:
        models: what `zoo.load` takes: names, runs, model folders; exported files run as they are.
        backends: of models that are no files.
        precisions: `fp32`, `bf16`.
        settings: what all share.
        progress: told what is being done.

    Returns:
        A row for each, the first is what `ratio` refers to.

    Raises:
        ZooError: nothing to measure, or a model that cannot be loaded, written or run.

    Example:
        >>> rows = bench(["x3d_s"], [Backend("torch"), Backend("onnx")])    # doctest: +SKIP
    """
    say = progress or (lambda text: None)
    if not 0 < settings.seconds < math.inf or settings.batch < 1 or settings.threads < 1:
        raise ParameterError("seconds, batch and threads of a benchmark are numbers above 0")
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        prepared = [_sides_of(model, backends, precisions, settings, Path(folder), say) for model in models]
        sides = [(side, known) for group, known in prepared for side in group]
        if not sides:
            raise ParameterError(
                f"none of these backends computes in {', '.join(precisions)}", hint="say --precision fp32"
            )
        return _measured(sides, settings.seconds, say)


def _sides_of(
    model: str, backends: Sequence[Backend], precisions: Sequence[str], settings: Settings, folder: Path,
    say: Callable[[str], None],
) -> tuple[list[Side], list[Outputs] | None]:  # fmt: skip
    """The sides of a model, its files written, and what it says in torch and float32: None of a file."""
    side = Side(
        shown=_shown(model), reference=model, backend=None, precision="fp32", pretrained=True, num_classes=None,
        device=settings.device, threads=settings.threads, batch=settings.batch, films=settings.films,
        trust=settings.trust,
    )  # fmt: skip
    if (file := file_reference(model)) is not None:
        able = [each for each in precisions if each == "fp32" or _takes_precision(file[1])]
        return [replace(side, precision=precision) for precision in able], None
    side = replace(side, pretrained=(untrained := _untrained(model)) is None, num_classes=untrained)
    on_cpu = replace(side, device="cpu")
    loaded = open_model(on_cpu)
    with torch.no_grad():
        said = [predict_of(loaded)(loaded.network, batch) for batch in clips_of(loaded, on_cpu)]
    sides = []
    for number, backend in enumerate(backends):
        reference = model
        if backend.exports:
            listed = catalog().resolve("exporter", backend.name)
            suffix = getattr(listed.entry, "suffix", "")
            path = folder / f"{len(list(folder.iterdir()))}-{number}" / f"model{suffix}"
            say(f"write {backend} of {side.shown}")
            export_model(loaded, backend.name, path, params=backend.params, films=settings.films, noise=True)
            reference = str(path)
        for precision in precisions:
            if backend.exports and precision != "fp32" and not _takes_precision(listed):
                say(f"{backend.name} has no {precision}: left out")
                continue
            # What this process has just written is its own.
            sides.append(
                replace(
                    side,
                    reference=reference,
                    backend=backend,
                    precision=precision,
                    trust=backend.exports or settings.trust,
                )
            )
    return sides, said


def _takes_precision(listed: Listed) -> bool:
    """Whether files of a format can be computed in other numbers than they hold."""
    return "precision" in inspect.signature(listed.resolve_builder("load")).parameters


def _shown(model: str) -> str:
    """A name as it is; a path by its last two parts."""
    return "/".join(Path(model).parts[-2:]) if len(Path(model).parts) > 2 else model


def _untrained(model: str) -> int | None:
    """How many classes a name without a tag gets, which is measured without weights; None for all else."""
    if reference_kind(model) != "name":
        return None
    try:
        listed = catalog().resolve("model", model)
        tagged = Name.parse(model).tag is not None
    except NameProblem:
        return None
    if tagged:
        return None
    return next((tag.labels for tag in getattr(listed.entry, "weights", ()) if tag.labels), NUM_CLASSES)


def _measured(
    sides: Sequence[tuple[Side, list[Outputs] | None]], seconds: float, say: Callable[[str], None]
) -> list[Row]:
    with _processes([side for side, _ in sides]) as connections:
        loaded = []
        for (side, _), connection in zip(sides, connections, strict=True):
            say(f"load {side.shown} by {side.backend or 'its runtime'}, {side.precision}")
            connection.send(True)  # one after the other: compiling two at a time would be slower than both
            loaded.append(_answer(connection, side))
        times = _turns([side for side, _ in sides], connections, seconds, say)
        peaks = []
        for (side, _), connection in zip(sides, connections, strict=True):
            connection.send(0)
            peaks.append(_answer(connection, side))
    rows: list[Row] = []
    for (side, known), ready, taken, peak in zip(sides, loaded, times, peaks, strict=True):
        rows.append(_row(side, known, ready, taken, peak, rows[0].clips_per_s if rows else None))
    return rows


def _turns(
    sides: Sequence[Side], connections: Sequence[Connection], seconds: float, say: Callable[[str], None]
) -> list[list[float]]:
    """Milliseconds of the calls of each side; every second turn goes backwards."""
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(TURNS):
        say(f"turn {turn + 1} of {TURNS}")
        for index in range(len(sides))[:: -1 if turn % 2 else 1]:
            connections[index].send(seconds / TURNS)
            times[index] += _answer(connections[index], sides[index])
    return times


@contextmanager
def _processes(sides: Sequence[Side]) -> Iterator[list[Connection]]:
    """A process for each side, and the way to talk to it."""
    context = multiprocessing.get_context("spawn")
    processes, connections = [], []
    try:
        for side in sides:
            ours, theirs = context.Pipe()
            process = context.Process(target=_begin, args=(theirs, side), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            connections.append(ours)
        yield connections
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            process.join(timeout=5)
            if process.is_alive():
                process.kill()


def _begin(connection: Connection, side: Side) -> None:
    try:
        connection.recv()
    except (EOFError, KeyboardInterrupt):
        return
    serve(connection, side)


def _answer(connection: Connection, side: Side) -> Any:
    who = f"{side.shown} by {side.backend or 'its runtime'}"
    if not connection.poll(PATIENCE):
        raise RunError(f"{who} did not answer for {PATIENCE} s")
    try:
        answer = connection.recv()
    except (EOFError, ConnectionResetError) as error:
        raise RunError(f"the process of {who} ended", hint="memory may have run out; try a smaller --batch") from error
    if isinstance(answer, ZooError):
        raise answer
    return answer


def _row(
    side: Side, known: list[Outputs] | None, ready: Loaded, times: list[float], peak: int | None, first: float | None
) -> Row:
    p50, p95 = torch.tensor(times, dtype=torch.float64).quantile(torch.tensor([0.5, 0.95], dtype=torch.float64))
    per_second = 1000 * side.batch / float(p50)
    comparison = None
    if known and ready.outputs and len(known) == len(ready.outputs):
        comparison = compare(zip(known, ready.outputs, strict=True))
    comparable = comparison is not None and comparison.max_difference != float("inf")
    return Row(
        model=side.shown,
        backend=str(side.backend) if side.backend else "file",
        precision=side.precision,
        batch=side.batch,
        p50_ms=float(p50),
        p95_ms=float(p95),
        clips_per_s=per_second,
        peak_bytes=peak,
        file_bytes=ready.bytes,
        agreement=comparison.agreement if comparison and comparable and side.films else None,
        difference=comparison.max_difference if comparison and comparable else None,
        ratio=per_second / (first or per_second),
        calls=len(times),
    )
