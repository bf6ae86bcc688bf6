"""Processes that look at files. One that crashes or hangs costs the file it was at, and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from zoo.data.audit.reading import FileLook, Job, failed, look_at
from zoo_registry.errors import MissingExtra

GRACE = 480.0
"""Seconds beyond the time limit of its decoder after which a file counts as one that hangs it."""

PER_SPAN = 10.0
"""Seconds more for every further span of the file."""

MOST = 16
"""Processes that are started unless more are asked for."""


def look_at_all(
    jobs: Sequence[Job], workers: int | None = None, grace: float = GRACE
) -> Iterator[tuple[int, FileLook]]:
    """Look at files in parallel.

    Args:
        jobs: the files.
        workers: processes; None takes one per core, 0 reads in this process, without protection against crashes.
        grace: seconds that a file of one span may take beyond the limit of its decoder.

    Yields:
        The number of a job and what was seen, as they get done.

    Raises:
        MissingExtra: the decoder is not installed.
    """
    count = min(MOST, _cores()) if workers is None else workers
    if count == 0:
        yield from ((number, _answer(job)) for number, job in enumerate(jobs))
        return
    waiting = deque(enumerate(jobs))
    crew = [_Worker() for _ in range(min(count, len(jobs)))]
    try:
        while waiting or any(worker.at for worker in crew):
            for place, worker in enumerate(crew):
                if waiting and worker.at is None:
                    crew[place] = _given(worker, *waiting.popleft(), grace)
            yield from _answers(crew)
    finally:
        for worker in crew:
            worker.end()


@dataclass
class _Task:
    number: int
    job: Job
    deadline: float


class _Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process: BaseProcess = multiprocessing.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.at: _Task | None = None

    def end(self) -> None:
        """Stop the process, in the middle of its file if need be."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _given(worker: _Worker, number: int, job: Job, grace: float) -> _Worker:
    """The worker with a job; a new one, where the old one died while it was idle."""
    try:
        worker.pipe.send(job)
    except OSError:
        worker.end()
        worker = _Worker()
        worker.pipe.send(job)
    patience = grace + job.decoder.time_limit + PER_SPAN * (len(job.spans) - 1)
    worker.at = _Task(number, job, time.monotonic() + patience)
    return worker


def _answers(crew: list[_Worker]) -> Iterator[tuple[int, FileLook]]:
    """Wait until something happens: answers, deaths and deadlines."""
    busy = [worker for worker in crew if worker.at is not None]
    first = min((worker.at.deadline for worker in busy if worker.at), default=0.0)
    wait([worker.pipe for worker in busy], timeout=max(0.0, first - time.monotonic()))
    for place, worker in enumerate(crew):
        task = worker.at
        if task is None:
            continue
        look: FileLook | None = None
        if worker.pipe.poll():
            try:
                answer = worker.pipe.recv()
                if isinstance(answer, MissingExtra):
                    raise answer
                look, worker.at = answer, None
            except (EOFError, OSError):
                worker.process.join()
                look = failed(task.job, f"the decoder crashed on it ({_ending(worker.process.exitcode)})")
        elif time.monotonic() >= task.deadline:
            look = failed(task.job, "the decoder did not come to an end with it")
        if look is not None:
            if worker.at is not None:
                worker.end()
                crew[place] = _Worker()
            yield task.number, look


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _work(pipe: Connection) -> None:
    """What a process does until the pipe closes, or the main process is gone."""
    import torch

    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which ends this one
    torch.set_num_threads(1)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            answer: FileLook | MissingExtra = _answer(job)
        except MissingExtra as error:
            answer = error
        pipe.send(answer)


def _end_with_parent() -> None:
    """End this process, in the middle of a file if need be, when the main one is killed and cannot do so itself."""
    main = multiprocessing.parent_process()
    if main is not None:
        wait([main.sentinel])
        os._exit(1)


def _answer(job: Job) -> FileLook:
    """What was seen; a failure nobody foresaw must not end an audit of hours, nor pass for a fault of the file."""
    try:
        return look_at(job)
    except MissingExtra:
        raise  # would be said of every file
    except Exception as error:
        return failed(job, f"{type(error).__name__}: {error}", unforeseen=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
