"""The processes that decode films for a server: given work, watched, ended when they take too long, and replaced."""

from __future__ import annotations

import contextlib
import json
import math
import queue
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.serving.film_reader import Wanted, read_films
from zoo.serving.limits import Limits
from zoo.serving.measures import Measures
from zoo.serving.reader_context import reader_context
from zoo.serving.refusal import Refusal
from zoo_registry.errors import RunError

START_LIMIT = 120.0
"""Seconds within which a process has to be there."""

GRACE = 1.0
"""Seconds beyond its time limit after which a process that decodes is ended: most films end by themselves before."""

_DTYPES = {"uint8": torch.uint8, "float32": torch.float32}


@dataclass(frozen=True)
class Decoded:
    """A film as the model takes it.

    Attributes:
        inputs: each (V, ...), a row for every view.
        waited: seconds until a process was free.
        seconds: that decoding took.
    """

    inputs: dict[str, Tensor]
    waited: float
    seconds: float


class FilmReaders:
    """So many processes that decode, each one film at a time.

    Args:
        wanted: what the model takes.
        limits: `workers`, `decode`, and the limits on films.
        measures: is told of processes that were ended.

    Raises:
        RunError: they do not start.
    """

    def __init__(self, wanted: Wanted, limits: Limits, measures: Measures) -> None:
        self._idle: queue.LifoQueue[_Process] = queue.LifoQueue()
        self._threads = ThreadPoolExecutor(limits.workers, "film-reader")
        self._measures, self._limits, self._closed = measures, limits, False
        context = reader_context()
        self._all = [_Process(context, wanted, limits) for _ in range(limits.workers)]
        try:
            for process in self._all:
                process.start()
            for process in self._all:
                process.await_start()
                self._idle.put(process)
        except BaseException:
            self.close()
            raise

    def read(self, path: Path) -> Future[Decoded]:
        """Decode a film when a process is free.

        Returns:
            What came of it; its exception is a Refusal. Cancelled before its turn it costs nothing.
        """
        return self._threads.submit(self._read, path, time.perf_counter())

    def close(self) -> None:
        """End all of them, whatever they are at."""
        self._closed = True
        for process in self._all:
            process.kill()  # whoever waits for its answer learns of it
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._all:
            process.end()

    def _read(self, path: Path, asked: float) -> Decoded:
        process = self._idle.get()
        try:
            if self._closed:
                raise Refusal(503, "this server is shutting down")
            waited = time.perf_counter() - asked
            inputs, seconds = process.read(path, self._limits.decode + GRACE)
            return Decoded(inputs, waited, seconds)
        except _Gone as gone:
            self._measures.readers_ended.labels(gone.why).inc()
            raise Refusal(422, gone.reason) from None
        finally:
            self._idle.put(process)


class _Gone(Exception):
    """A process that is no more."""

    def __init__(self, why: str, reason: str) -> None:
        super().__init__(reason)
        self.why, self.reason = why, reason


class _Process:
    """One process and the line to it; started anew when it is needed and not there."""

    def __init__(self, context: BaseContext, wanted: Wanted, limits: Limits) -> None:
        self._context, self._wanted, self._limits = context, wanted, limits
        self._process: BaseProcess | None = None
        self._line: Connection | None = None

    def start(self) -> None:
        line, other = self._context.Pipe()
        process: BaseProcess = self._context.Process(  # type: ignore[attr-defined]
            target=read_films, args=(other, self._wanted, self._limits), daemon=True, name="film-reader"
        )
        process.start()
        other.close()  # so that the line ends with the process
        self._process, self._line = process, line

    def await_start(self) -> None:
        line = self._line
        try:
            if line is None or not line.poll(START_LIMIT) or line.recv_bytes() != b"ready":
                raise RunError(f"a process that decodes films did not start within {START_LIMIT:g} s")
        except (EOFError, OSError) as error:
            raise RunError(
                "a process that decodes films ended at once",
                hint="in a script, start the server below `if __name__ == '__main__':`",
            ) from error

    def read(self, path: Path, seconds: float) -> tuple[dict[str, Tensor], float]:
        if self._process is None or not self._process.is_alive():
            self.end()
            self.start()
            self.await_start()
        line = self._line
        assert line is not None
        try:
            line.send_bytes(str(path).encode())
            if not line.poll(seconds):
                self.end()
                raise _Gone("time", f"decoding it takes longer than {self._limits.decode:g} s")
            header = json.loads(line.recv_bytes(1 << 20))
            if header["status"] != 200:
                raise Refusal(header["status"], header["reason"])
            return {
                key: _tensor(line, dtype, shape, self._limits.clip) for key, dtype, shape in header["inputs"]
            }, header["seconds"]
        except (EOFError, OSError, ValueError, KeyError, TypeError) as error:
            self.end()
            raise _Gone("crash", "the decoder broke down over it") from error

    def kill(self) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError, OSError):  # it was ended meanwhile
                process.kill()

    def end(self) -> None:
        self.kill()
        if self._process is not None:
            with contextlib.suppress(ValueError, OSError):
                self._process.join(5)
                self._process.close()
            self._process = None
        if self._line is not None:
            self._line.close()
            self._line = None


def _tensor(line: Connection, dtype: str, shape: list[Any], limit: int) -> Tensor:
    """The next piece as a tensor of so many numbers."""
    kind = _DTYPES[dtype]
    count = math.prod(int(size) for size in shape) * kind.itemsize
    content = bytearray(line.recv_bytes(limit))
    if len(content) != count or min(shape) < 1:
        raise ValueError(f"{len(content)} bytes for {shape}")
    return torch.frombuffer(content, dtype=kind).reshape(shape)
