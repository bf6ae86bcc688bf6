"""Writes a run's measures as TensorBoard events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardEvents:
    """A `RunObserver` that draws train values over steps, and validation values at the step where their epoch ended.

    Args:
        folder: where the event files go; made with the first value.
        start: the step the run goes on from. Events of an earlier attempt at later steps are hidden.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        self._folder = folder
        self._step = start
        self._open: SummaryWriter | None = None

    def step_end(self, step: int, values: Mapping[str, float]) -> None:
        """Train values."""
        self._step = step
        self._write("train", values)

    def epoch_end(self, epoch: int, values: Mapping[str, float]) -> None:
        """Validation values."""
        self._write("val", values)
        if self._open is not None:
            self._open.flush()

    def close(self) -> None:
        """Write what is still in memory."""
        if self._open is not None:
            self._open.close()

    def _write(self, split: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer().add_scalar(f"{split}/{name}", value, self._step)

    def _writer(self) -> SummaryWriter:
        if self._open is None:
            from torch.utils.tensorboard import SummaryWriter

            self._open = SummaryWriter(str(self._folder), purge_step=self._step or None)
        return self._open
