"""The process of one side: it alone holds the model, so that its memory can be told, and it runs when it is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.artefact.file_names import WEIGHTS
from zoo.benchmark.side import COMPILE, Side
from zoo.export.file_format import format_of
from zoo.export.file_model import FileModel, load_file
from zoo.export.model_export import noise_of, predict_of
from zoo.export.raw_clips import CLIP, prepared, whole_frames
from zoo.model import ZooModel, load
from zoo.runner.precision import autocast
from zoo_registry.errors import RunError, ZooError
from zoo_registry.protocols import Batch, Outputs, Sample

WARM_UP = 3
RAW_SIZE = (256, 340)
"""Height and width of the noise that files are given which prepare pixels themselves."""


@dataclass(frozen=True)
class Loaded:
    """What a process says when it is ready.

    Attributes:
        outputs: what the model said about each film, or about noise; empty where that cannot be compared.
        bytes: of the file that was loaded; None for a model by name.
    """

    outputs: list[Outputs]
    bytes: int | None


def serve(connection: Connection, side: Side) -> None:
    """Load, say so, and then run as long as the other end says at a time, until it says 0.

    Answers are `Loaded`, lists of milliseconds, and at the end the peak of memory in bytes; or a `ZooError`.
    """
    try:
        with ExitStack() as stack:
            run, loaded = _open(side, stack)
            connection.send(loaded)
            while seconds := connection.recv():
                connection.send(_times(run, seconds, torch.device(side.device).type == "cuda"))
            connection.send(_peak(side))
    except ZooError as error:
        connection.send(error)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass
    except Exception as error:  # whatever a runtime raises
        said = " ".join(str(error).split())[:300]
        connection.send(RunError(f"{side.shown} by {side.backend or 'its runtime'}: {type(error).__name__}: {said}"))


def _open(side: Side, stack: ExitStack) -> tuple[Callable[[], object], Loaded]:
    torch.set_num_threads(side.threads)
    _forget_peak()
    model = open_model(side)
    if side.backend is not None and side.backend.name == COMPILE:
        from zoo.recipe.schema import CompileSlot
        from zoo.runner.compilation import compiled

        stack.enter_context(compiled(model.network, CompileSlot()))
    stack.enter_context(torch.no_grad())
    stack.enter_context(_numbers(side, model))
    clips = clips_of(model, side)
    predict = predict_of(model)
    run = model.network if not isinstance(model, FileModel) else model
    outputs = [{key: _plain(value) for key, value in predict(run, batch.to(side.device)).items()} for batch in clips]
    inputs = _of_batch(side.batch, clips[0], side.device)
    for _ in range(WARM_UP):
        run(*inputs)
    comparable = bool(side.films) or not getattr(model, "prepares", False)
    return lambda: run(*inputs), Loaded(outputs if comparable else [], _bytes(model))


def _bytes(model: ZooModel) -> int | None:
    """Of the file, or of a model folder's weights."""
    if isinstance(model, FileModel):
        return model.bytes
    weights = Path(model.uri.removeprefix("file:")) / WEIGHTS
    return weights.stat().st_size if model.uri.startswith("file:") and weights.is_file() else None


def open_model(side: Side) -> ZooModel:
    """The model of a side, on its device."""
    path = Path(side.reference.removeprefix("file:"))
    if path.is_file() and (listed := format_of(path)) is not None:
        return load_file(path, listed, device=side.device, trust=side.trust, precision=side.precision)
    torch.manual_seed(0)
    return load(
        side.reference, pretrained=side.pretrained, num_classes=side.num_classes, device=side.device, trust=side.trust
    )


def clips_of(model: ZooModel, side: Side) -> list[Batch]:
    """What the model is shown: clips of films one by one, or noise, the same for every side of a model."""
    takes_frames = isinstance(model, FileModel) and model.prepares
    if not side.films:
        noise = noise_of(model, side.batch)
        return [_as_frames(noise) if takes_frames else noise]
    batches = prepared(model, side.films)
    if not takes_frames or model.clip is None:
        return batches
    frames = [whole_frames(Sample(film), model.clip)[None] for film in side.films]
    return [replace(batch, inputs=batch.inputs | {CLIP: clip}) for batch, clip in zip(batches, frames, strict=True)]


def _as_frames(noise: Batch) -> Batch:
    clip = noise.inputs[CLIP]
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (*clip.shape[:3], *RAW_SIZE), dtype=torch.uint8, generator=generator)
    return replace(noise, inputs=noise.inputs | {CLIP: frames})


def _of_batch(size: int, batch: Batch, device: str) -> list[Tensor]:
    """So many samples, the first one repeated where there are fewer."""
    return [torch.cat([value[:1]] * size if len(value) < size else [value[:size]]).to(device)
            for value in batch.inputs.values()]  # fmt: skip


def _numbers(side: Side, model: ZooModel) -> AbstractContextManager[object]:
    """Autocast for torch; files were opened in their precision."""
    return autocast(torch.device(side.device), "fp32" if isinstance(model, FileModel) else side.precision)


def _plain(value: Any) -> Any:
    return value.detach().float().cpu() if isinstance(value, Tensor) else value


def _times(run: Callable[[], object], seconds: float, on_gpu: bool) -> list[float]:
    """Milliseconds of each call, as many as the time allows, one at least."""
    times: list[float] = []
    wait: Callable[[], None] = torch.cuda.synchronize if on_gpu else lambda: None
    started = time.perf_counter()
    while not times or time.perf_counter() - started < seconds:
        wait()
        before = time.perf_counter()
        run()
        wait()
        times.append(1000 * (time.perf_counter() - before))
    return times


def _forget_peak() -> None:
    """Start counting the peak of this process's memory anew, where the system can."""
    if sys.platform != "linux":
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        _BEFORE.append(_status("VmRSS"))


_BEFORE: list[int] = []


def _peak(side: Side) -> int | None:
    """Bytes at the most since the model was loaded: of the GPU, or of this process beyond what it had before."""
    if torch.device(side.device).type == "cuda":
        return torch.cuda.max_memory_allocated()
    return max(0, _status("VmHWM") - _BEFORE[-1]) if _BEFORE else None


def _status(key: str) -> int:
    """Bytes of memory that Linux tells of this process: `VmRSS` now, `VmHWM` at the most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0
