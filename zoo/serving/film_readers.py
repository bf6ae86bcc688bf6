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

from zoo.serving.byte_budget import ByteBudget, Share
from zoo.serving.film_reader import PIECE, Wanted, read_films
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
        share: of the memory for films that lie decoded; whoever is done with the film gives it back.
    """

    inputs: dict[str, Tensor]
    waited: float
    seconds: float
    share: Share

    def drop(self) -> None:
        """Forget the film."""
        self.inputs.clear()
        self.share.give_back()


class FilmReaders:
    """So many processes that decode, each one film at a time.

    Args:
        wanted: what the model takes.
        limits: `workers`, `decode`, `decoded`, and the limits on films.
        measures: is told of processes that were ended.

    Raises:
        RunError: they do not start.
    """

    def __init__(self, wanted: Wanted, limits: Limits, measures: Measures) -> None:
        self._idle: queue.LifoQueue[_Process] = queue.LifoQueue()
        self._threads = ThreadPoolExecutor(limits.workers, "film-reader")
        self._measures, self._limits, self._closed = measures, limits, False
        self.budget = ByteBudget(limits.decoded)
        context = reader_context()
        self._all = [_Process(context, wanted, limits, self.budget) for _ in range(limits.workers)]
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
            What came of it, to be dropped in the end; its exception is a Refusal. Cancelled before its turn it costs
            nothing.
        """
        return self._threads.submit(self._read, path, time.perf_counter())

    def close(self) -> None:
        """End all of them, whatever they are at."""
        self._closed = True
        self.budget.close()
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
            inputs, seconds, share = process.read(path, self._limits.decode + GRACE)
            return Decoded(inputs, waited, seconds, share)
        except _Gone as gone:
            self._measures.readers_ended.labels(gone.why).inc()
            raise Refusal(422, gone.reason) from None
        except MemoryError:
            raise Refusal(503, "there is no memory for the film", retry_after=5) from None
        finally:
            self._idle.put(process)


class _Gone(Exception):
    """A process that is no more."""

    def __init__(self, why: str, reason: str) -> None:
        super().__init__(reason)
        self.why, self.reason = why, reason


class _Process:
    """One process and the line to it; started anew when it is needed and not there."""

    def __init__(self, context: BaseContext, wanted: Wanted, limits: Limits, budget: ByteBudget) -> None:
        self._context, self._wanted, self._limits, self._budget = context, wanted, limits, budget
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

    def read(self, path: Path, seconds: float) -> tuple[dict[str, Tensor], float, Share]:
        if self._process is None or not self._process.is_alive():
            self.end()
            self.start()
            self.await_start()
        line = self._line
        assert line is not None
        try:
            line.send_bytes(str(path).encode())
            if not line.poll(seconds):
                raise _Gone("time", f"decoding it takes longer than {self._limits.decode:g} s")
            header = json.loads(line.recv_bytes(1 << 20))
            refusal = None if header["status"] == 200 else Refusal(header["status"], header["reason"])
            if refusal is None:
                took = float(header["seconds"])
                inputs, share = self._receive(line, header["inputs"])
                return inputs, took, share
        except (EOFError, OSError, ValueError, KeyError, TypeError) as error:
            self.end()
            raise _Gone("crash", "the decoder broke down over it") from error
        except BaseException:
            self.end()  # what it still sends would be taken for its answer to the next film
            raise
        raise refusal

    def _receive(self, line: Connection, described: list[Any]) -> tuple[dict[str, Tensor], Share]:
        """What was described, when there is room for it; until then it lies with the process."""
        sizes = [_bytes_of(dtype, shape) for _, dtype, shape in described]
        if sum(sizes) > self._limits.clip:
            raise ValueError(f"{sum(sizes)} bytes")
        share = self._budget.take(sum(sizes), self._limits.timeout)
        try:
            inputs = {
                key: _tensor(line, dtype, shape, size)
                for (key, dtype, shape), size in zip(described, sizes, strict=True)
            }
        except BaseException:
            share.give_back()
            raise
        return inputs, share

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


def _bytes_of(dtype: str, shape: list[Any]) -> int:
    """Bytes of a tensor that a process says it has."""
    if min(shape) < 1 or not all(isinstance(size, int) for size in shape):
        raise ValueError(f"no shape: {shape}")
    return int(math.prod(shape) * _DTYPES[dtype].itemsize)


def _tensor(line: Connection, dtype: str, shape: list[Any], size: int) -> Tensor:
    """The next pieces as a tensor of so many bytes."""
    content, at = bytearray(size), 0
    while at < size:
        piece = line.recv_bytes(PIECE)
        content[at : at + len(piece)] = piece
        at += len(piece)
    if len(content) != size:
        raise ValueError(f"{len(content)} bytes for {shape}")
    return torch.frombuffer(content, dtype=_DTYPES[dtype]).reshape(shape)
