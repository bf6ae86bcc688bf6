"""Worker processes: a file that kills or hangs its decoder costs that file only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.zoo.data.faulty_films import moving_texture
from zoo.data import Decoder
from zoo.data.audit import workers
from zoo.data.audit.reading import FileLook, Job, look_at
from zoo.data.audit.workers import look_at_all

WHOLE = ((None, None),)

forked = pytest.mark.skipif(
    multiprocessing.get_start_method() != "fork", reason="the stand-in for the reader is inherited, not sent"
)


def reasons(jobs: list[Job], **options) -> dict[int, str]:
    return {number: look.spans[0].reason for number, look in look_at_all(jobs, **options)}


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [Job(str(moving_texture(tmp_path / f"{seed}.mp4", seed, frames=8)), WHOLE) for seed in range(5)]


def stumbling(film: int, stumble) -> object:
    """`look_at`, but for one film."""

    def look(job: Job) -> FileLook:
        if str(job.media).endswith(f"{film}.mp4"):
            stumble()
        return look_at(job)

    return look


def test_processes_see_what_this_one_sees(jobs: list[Job]) -> None:
    here = {number: look.spans[0].hashes.tolist() for number, look in look_at_all(jobs, workers=0)}
    there = {number: look.spans[0].hashes.tolist() for number, look in look_at_all(jobs, workers=2)}
    assert here == there
    assert sorted(here) == [0, 1, 2, 3, 4]


@forked
def test_a_crash_is_said_of_the_file_that_was_read(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "look_at", stumbling(2, lambda: os.kill(os.getpid(), signal.SIGKILL)))
    said = reasons(jobs, workers=2)
    assert said.pop(2) == "the decoder crashed on it (SIGKILL)"
    assert said == {0: "", 1: "", 3: "", 4: ""}


@forked
def test_a_file_that_takes_forever_is_given_up(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "look_at", stumbling(1, threading.Event().wait))
    hurried = [replace(job, decoder=Decoder(time_limit=1.0)) for job in jobs]
    said = reasons(hurried, workers=2, grace=1.0)
    assert said.pop(1) == "the decoder did not come to an end with it"
    assert said == {0: "", 2: "", 3: "", 4: ""}


def test_an_error_nobody_foresaw_is_no_fault_of_the_file(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "look_at", stumbling(0, lambda: [][0]))
    looks = dict(look_at_all(jobs, workers=0))
    assert looks[0].spans[0].reason == "IndexError: list index out of range"
    assert [number for number, look in looks.items() if look.spans[0].unforeseen] == [0]


def test_no_process_is_left_when_the_reading_stops_early(jobs: list[Job]) -> None:
    before = set(multiprocessing.active_children())
    reading = look_at_all(jobs, workers=2)
    next(reading)
    reading.close()
    assert set(multiprocessing.active_children()) <= before


@forked
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_main_one(jobs: list[Job], how: signal.Signals) -> None:
    """They are in the middle of a file that never ends; each holds the pipe, which closes when the last is gone."""
    script = """
import threading
from zoo.data.audit import workers
from zoo.data.audit.reading import Job

def hang(job):
    print("reading", flush=True)
    threading.Event().wait()

workers.look_at = hang
list(workers.look_at_all([Job("a.mp4", ((None, None),)), Job("b.mp4", ((None, None),))], workers=2))
"""
    main = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert main.stdout is not None
    assert [main.stdout.readline(), main.stdout.readline()] == ["reading\n", "reading\n"]
    main.send_signal(how)
    said, _ = main.communicate(timeout=20)
    assert (said, main.returncode) == ("", -how)
