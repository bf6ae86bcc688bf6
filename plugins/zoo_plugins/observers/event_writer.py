"""Writes TensorBoard events into a folder of their own below a run's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class EventWriter:
    """Opens TensorBoard's writer with the first event.

    A folder of its own, because TensorBoard follows one file of a folder at a time.

    Args:
        name: of the folder below `events/`; TensorBoard shows it as a run.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._run: Path | None = None
        self._open: SummaryWriter | None = None

    def begin(self, run: Path) -> None:
        """Write below this run's folder from here on."""
        self.close()
        self._run = run

    def at(self, step: int) -> SummaryWriter:
        """The writer. Events of an earlier attempt at later steps are hidden."""
        if self._open is None:
            from torch.utils.tensorboard import SummaryWriter

            if self._run is None:
                raise RuntimeError("the run has not begun")
            self._open = SummaryWriter(str(self._run / "events" / self._name), purge_step=step or None)
        return self._open

    def flush(self) -> None:
        """Write what is still in memory, for a process that may be killed."""
        if self._open is not None:
            self._open.flush()

    def close(self) -> None:
        """Write what is still in memory."""
        if self._open is not None:
            self._open.close()
            self._open = None
