"""Ctrl-C and SIGTERM ask a run to stop; it finishes its step and writes a checkpoint first."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from zoo_registry.errors import Interrupted


class StopSignals:
    """While entered, the first SIGINT or SIGTERM is only noted; a second one ends the process at once.

    Does nothing outside the main thread, where Python delivers no signals.

    Attributes:
        received: the signal that came, None while none has.

    Example:
        >>> with StopSignals() as stop:
        ...     stop.received is None
        True
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._process = os.getpid()
        self._previous: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def interrupted(self, done: str, hint: str) -> Interrupted:
        """The error to raise after the signal that came."""
        return interrupted(self.received or signal.SIGINT, done, hint)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A forked data worker inherits this handler. Ctrl-C reaches the whole process group, and the run needs
            # its workers to finish the step; SIGTERM comes from the run itself and must end the worker.
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


class Terminated(KeyboardInterrupt):
    """SIGTERM came where nothing is written in steps: what is being done ends like at Ctrl-C."""

    exit_code = 128 + signal.SIGTERM


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Within it SIGTERM raises `Terminated`, but where `StopSignals` notes it; nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != own:  # a forked worker
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupted(number: signal.Signals, done: str, hint: str) -> Interrupted:
    """The error to raise after the checkpoint; its exit code is 128 + the signal's number.

    Args:
        number: the signal.
        done: what was done before, as in `stopped by SIGINT after step 3`.
        hint: how to go on.
    """
    error = Interrupted(f"stopped by {number.name} {done}", hint=hint)
    error.exit_code = 128 + number
    return error
