"""Tells the observers of a run what happens, and leaves out those that fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zoo_registry.protocols import Batch


class FirstOfEpoch:
    """Shows observers the first batch of an epoch; costs nothing where none wants to see it.

    Args:
        observers: of the run.
    """

    def __init__(self, observers: Observers) -> None:
        self._observers = observers
        self._step: int | None = None

    def begin(self, step: int) -> None:
        """The next batch is the first of an epoch, after so many steps."""
        self._step = step if self._observers.wants("batch_ready") else None

    def __call__(self, batch: Batch) -> None:
        """Show a batch if it is the first."""
        if self._step is not None:
            step, self._step = self._step, None
            self._observers.notify("batch_ready", step, batch)


class Observers:
    """Calls `RunObserver` methods; every method is optional.

    Args:
        watching: the observers, in the order in which they are told.
        report: takes one sentence about an observer that raised; that one is not called again.

    Example:
        >>> class Loud:
        ...     def epoch_end(self, epoch, values):
        ...         print(epoch, values["accuracy"])
        >>> Observers([Loud()], report=print).notify("epoch_end", 1, {"accuracy": 0.5})
        1 0.5
    """

    def __init__(self, watching: Sequence[object], report: Callable[[str], None]) -> None:
        self._watching = list(watching)
        self._report = report

    def add(self, observer: object) -> None:
        """One more observer, told after the others."""
        self._watching.append(observer)

    def wants(self, event: str) -> bool:
        """Whether any observer has a method of that name: what it is told may be costly to come by."""
        return any(hasattr(observer, event) for observer in self._watching)

    def notify(self, event: str, *values: Any) -> None:
        """Call the method named `event` of every observer that has it."""
        for observer in list(self._watching):
            method = getattr(observer, event, None)
            if method is None:
                continue
            try:
                method(*values)
            except Exception as error:
                self._watching.remove(observer)
                name = type(observer).__name__
                self._report(
                    f"observer {name} is left out from here on: {event} raised {type(error).__name__}: {error}"
                )
