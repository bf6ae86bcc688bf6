"""A process that decodes films for a server, one at a time; whatever a film does to it, the server goes on.

Its answers are numbers and bytes, never pickles: what a hostile film might make of this process cannot run in the
server's.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from zoo.data import Split
from zoo.data.decode.film import Decoder, open_container, open_film
from zoo.data.loading.reader import Reader
from zoo.serving.limits import Limits
from zoo.serving.refusal import Refusal
from zoo_registry.entries import AudioSpec, ClipSpec
from zoo_registry.errors import ZooError
from zoo_registry.protocols import Sample

CLIP = "clip_bcthw"

PIECE = 1 << 20
"""Bytes that are sent at a time: they lie in the server's memory twice until they are where they belong."""


@dataclass(frozen=True)
class Wanted:
    """What a model wants to see and hear of a film.

    Attributes:
        inputs: keys of `Batch.inputs`, in the order the model takes them.
        clip, audio: what they look like.
        views: clips of each film, spread evenly over it.
    """

    inputs: tuple[str, ...]
    clip: ClipSpec | None
    audio: AudioSpec | None
    views: int


def read_films(connection: Connection, wanted: Wanted, limits: Limits) -> None:
    """Answer paths of films until the other end closes; runs in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the server ends this one
    _bound_process(limits.memory)
    # A film may take as long as it takes to get here: the time limit of a request is kept by the server.
    decoder = Decoder(time_limit=limits.decode)
    reader = Reader(
        Split("served", [], ()), inputs=wanted.inputs, clip=wanted.clip, audio=wanted.audio, views=wanted.views,
        train=False, seed=0, decoder=decoder,
    )  # fmt: skip
    connection.send_bytes(b"ready")
    while True:
        try:
            path = connection.recv_bytes().decode()
        except EOFError:
            return
        _end_after(limits.decode + 5)
        header, pieces = _read(reader, path, limits)
        _end_after(0)
        connection.send_bytes(json.dumps(header).encode())
        _send(connection, pieces)
        del pieces  # else the film lies here until the next one comes


def _send(connection: Connection, pieces: Sequence[memoryview]) -> None:
    for piece in pieces:
        for at in range(0, len(piece), PIECE):
            connection.send_bytes(piece[at : at + PIECE])


def _end_after(seconds: float) -> None:
    """Let the system end this process, should it hang and nobody be left to end it; 0 for never."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _read(reader: Reader, path: str, limits: Limits) -> tuple[dict[str, Any], Sequence[memoryview]]:
    """What was read, as a header and the bytes of each input; or why it was not."""
    began = time.perf_counter()
    try:
        sample = Sample(path)
        _refuse_beyond(path, reader, limits)
        views = reader.row(sample, 0, drawn_for=0, epoch=0).inputs
    except Refusal as refused:
        return {"status": refused.status, "reason": refused.reason}, ()
    except ZooError as error:
        # The hints are for who trains.
        return {"status": 422, "reason": "; ".join(problem.message for problem in error.problems)}, ()
    except MemoryError:
        reason = f"decoding it takes more than {limits.memory >> 20:,} MB of memory"
        return {"status": 422, "reason": reason}, ()
    except Exception as error:  # whatever a damaged film makes of a decoder
        return {"status": 422, "reason": f"it cannot be decoded ({type(error).__name__})"}, ()
    import torch

    inputs = {key: torch.stack([view[key] for view in views]).contiguous() for key in reader.inputs}
    size = sum(tensor.nbytes for tensor in inputs.values())
    if size > limits.clip:
        return {"status": 413, "reason": f"what the model takes of it is {size:,} bytes, more than {limits.clip:,}"}, ()
    described = [[key, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)] for key, tensor in inputs.items()]
    header = {"status": 200, "inputs": described, "seconds": time.perf_counter() - began}
    return header, [tensor.numpy().data.cast("B") for tensor in inputs.values()]


def _refuse_beyond(path: str, reader: Reader, limits: Limits) -> None:
    """See that a film is not larger or longer than it may be, by its header.

    Raises:
        Refusal: 413, it is.
        UndecodableMedia: it cannot be opened.
    """
    if CLIP not in reader.inputs:
        with closing(open_container(path)) as container:
            seconds = (container.duration or 0) / 1_000_000
        _refuse_longer(seconds, limits)
        return
    decoder = Decoder(time_limit=limits.decode)
    with open_film(path, decoder) as film:
        context, timeline = film.video.codec_context, film.timeline
        if context.width * context.height > limits.pixels:
            size = f"{context.width} x {context.height}"
            raise Refusal(413, f"its pictures have {size} pixels, more than {limits.pixels:,}")
        _refuse_longer(timeline.seconds, limits)
        frames = max(film.video.frames, round(timeline.seconds * timeline.fps))
        if frames > limits.frames:
            raise Refusal(413, f"it has {frames:,} frames, more than {limits.frames:,}")


def _refuse_longer(seconds: float, limits: Limits) -> None:
    if seconds > limits.duration + 0.5:
        raise Refusal(413, f"it lasts {seconds:,.1f} s, longer than {limits.duration:g} s")


def _bound_process(memory: int) -> None:
    """Let this process have so much memory more, where the system can see to it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = Path("/proc/self/statm")
    if pages.is_file():
        has = int(pages.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (has + memory, has + memory))
