from __future__ import annotations

import io
import os
import pty
import select

from zoo.runner.progress import Progress


class Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def __call__(self):
        return self.now


def lines_in_a_pipe(seconds_per_step, steps):
    clock, pipe = Clock(), io.StringIO()
    with Progress(stream=pipe, clock=clock) as progress, progress.task("train 1/2", steps, unit="batches") as task:
        for step in range(steps):
            clock.now += seconds_per_step
            task.show(loss=1 / (step + 1))
            task.advance()
    return pipe.getvalue().splitlines()


def test_a_pipe_gets_plain_lines_with_the_time_left():
    first, *_ = lines_in_a_pipe(1.0, 40)
    assert first == "train 1/2  10/40 batches  25 %  0:00:30 left  loss 0.1"


def test_a_pipe_gets_fewer_and_fewer_lines_and_never_a_control_character():
    lines = lines_in_a_pipe(1.0, 200)
    assert [line.split()[2] for line in lines] == ["10/200", "30/200", "70/200", "130/200", "190/200"]
    assert all(line.isprintable() for line in lines)


def test_what_is_quick_says_nothing_in_a_pipe():
    assert lines_in_a_pipe(0.01, 100) == []


def test_a_resumed_task_counts_only_its_own_steps_for_the_time_left():
    clock, pipe = Clock(), io.StringIO()
    with Progress(stream=pipe, clock=clock) as progress, progress.task("train", 100, done=80) as task:
        clock.now = 10.0
        task.advance(10)
    assert pipe.getvalue() == "train  90/100  90 %  0:00:10 left\n"


def test_an_unknown_total_is_counted_all_the_same():
    clock, pipe = Clock(), io.StringIO()
    with Progress(stream=pipe, clock=clock) as progress:
        for _ in progress.track(iter(range(3)), "reading", unit="films"):
            clock.now += 10
    assert pipe.getvalue().splitlines()[0] == "reading  1 films"


def test_a_terminal_gets_a_bar_and_lines_above_it():
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        with Progress(stream=terminal) as progress:
            for _ in progress.track(range(4), "[train]", unit="batches"):
                progress.say("epoch [1] done")
        seen = ""
        while select.select([ours], [], [], 0.5)[0]:  # a terminal hands out what it has, at times in pieces
            seen += os.read(ours, 100_000).decode(errors="replace")
    os.close(ours)
    assert "[train]" in seen
    assert "epoch [1] done" in seen
    assert "\x1b[" in seen


def test_quiet_says_nothing():
    pipe, clock = io.StringIO(), Clock()
    with Progress(stream=pipe, quiet=True, clock=clock) as progress:
        for _ in progress.track(range(100), "train"):
            clock.now += 100
        progress.say("done")
    assert pipe.getvalue() == ""
