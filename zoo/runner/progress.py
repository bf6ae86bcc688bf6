"""Shows how far things are: bars with the time left on a terminal, plain lines now and then in a pipe or CI log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

T = TypeVar("T")

FIRST_LINE = 10.0
LONGEST_GAP = 60.0
"""Seconds until a task's first plain line, and between lines at most."""


class Progress:
    """A context in which tasks show how far they are, on standard error so that output stays clean.

    Args:
        stream: where to show it; standard error by default.
        quiet: show nothing.
        clock: seconds that only grow; for tests.

    Example:
        >>> with Progress(quiet=True) as progress:
        ...     for _ in progress.track(range(3), "counting"):
        ...         pass
    """

    def __init__(
        self, *, stream: TextIO | None = None, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.clock = clock
        self.bars: Bars | None = None

    def __enter__(self) -> Progress:
        if not self.quiet and self.stream.isatty():
            self.bars = _make_bars(self.stream)
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()
            self.bars = None

    def task(self, title: str, total: int | None = None, *, unit: str = "", done: int = 0) -> ProgressTask:
        """Something with a known or unknown number of steps; use it as a context.

        Args:
            title: what is done: `train 1/5`.
            total: how many steps there are, None when nobody knows.
            unit: what is counted: `batches`.
            done: how many were done before.
        """
        return ProgressTask(self, title, total, unit, done)

    def track(self, items: Iterable[T], title: str, *, total: int | None = None, unit: str = "") -> Iterator[T]:
        """The items, counted while they are used."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        with self.task(title, total, unit=unit) as task:
            for item in items:
                yield item
                task.advance()

    def say(self, text: str) -> None:
        """A line that stays, above the bars."""
        if self.bars is not None:
            self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif not self.quiet:
            print(text, file=self.stream, flush=True)


class ProgressTask:
    """One thing that is being done; made by `Progress.task`."""

    def __init__(self, progress: Progress, title: str, total: int | None, unit: str, done: int) -> None:
        self._progress = progress
        self._title, self._total, self._unit = title, total, unit
        self._done, self._done_before = done, done
        self._values = ""
        self._bar: TaskID | None = None
        self._started = progress.clock()
        self._gap = FIRST_LINE
        self._next_line = self._started + self._gap

    def __enter__(self) -> ProgressTask:
        if self._progress.bars is not None:
            self._bar = self._progress.bars.add_task(
                self._title, total=self._total, completed=self._done, unit=self._unit, values=""
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.bars is not None and self._bar is not None:
            self._progress.bars.remove_task(self._bar)

    def advance(self, steps: int = 1) -> None:
        """So many steps more are done."""
        self._done += steps
        if self._progress.bars is not None and self._bar is not None:
            self._progress.bars.advance(self._bar, steps)
        elif not self._progress.quiet and self._progress.clock() >= self._next_line:
            self._progress.say(self._line())
            self._gap = min(self._gap * 2, LONGEST_GAP)
            self._next_line = self._progress.clock() + self._gap

    def show(self, note: str = "", /, **values: float) -> None:
        """Numbers to show beside it, such as the loss, and a note such as where the time goes."""
        numbers = (f"{name} {value:.4g}" for name, value in values.items())
        self._values = "  ".join(filter(None, [*numbers, note]))
        if self._progress.bars is not None and self._bar is not None:
            self._progress.bars.update(self._bar, values=self._values)

    def _line(self) -> str:
        """`train 1/5  40/120 batches  33 %  0:00:24 left  loss 1.234`."""
        count = f"{self._done}/{self._total}" if self._total else str(self._done)
        parts = [self._title, f"{count} {self._unit}".strip()]
        since = self._done - self._done_before
        if self._total and since:
            seconds = (self._progress.clock() - self._started) / since * max(self._total - self._done, 0)
            parts += [f"{100 * self._done / self._total:.0f} %", f"{_clock_time(seconds)} left"]
        return "  ".join(filter(None, [*parts, self._values]))


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _make_bars(stream: TextIO) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}", markup=False),
        TimeRemainingColumn(),
        TextColumn("{task.fields[values]}", markup=False),
        console=Console(file=stream),
        transient=True,
    )
