"""Histograms of weights and gradients in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo_plugins.observers.event_writer import EventWriter
from zoo_registry import Range

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter


def histograms(
    *, weights: bool = True, gradients: bool = False, match: str = "*", every: Annotated[int, Range(ge=1)] = 10
) -> Histograms:
    """Show how weights and gradients are spread, and how that changes.

    Args:
        weights: whether those of the parameters themselves.
        gradients: whether those of what the last step was taken by, clipped if the run clips.
        match: pattern of the parameters' names, such as `*.head.*`.
        every: log intervals from one to the next: all values go to the processor.

    Returns:
        An observer that writes to `events/histograms` below the run's folder.

    Example:
        >>> watching = histograms(gradients=True, match="*head*", every=1)
    """
    return Histograms(weights, gradients, match, every)


class Histograms:
    """The observer."""

    def __init__(self, weights: bool, gradients: bool, match: str, every: int) -> None:
        self._weights, self._gradients, self._match, self._every = weights, gradients, match, every
        self._intervals = 0
        self._events = EventWriter("histograms")

    def run_start(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        """Where to write."""
        self._events.begin(folder)

    def gradients_ready(self, step: int, parameters: Mapping[str, Parameter]) -> None:
        """Write a histogram for each parameter that matches."""
        self._intervals += 1
        if (self._intervals - 1) % self._every:
            return
        for name, parameter in parameters.items():
            if not fnmatchcase(name, self._match):
                continue
            if self._weights:
                self._write(f"weights/{name}", parameter, step)
            if self._gradients and parameter.grad is not None:
                self._write(f"gradients/{name}", parameter.grad, step)

    def epoch_end(self, epoch: int, values: Mapping[str, float]) -> None:
        """Keep what an epoch showed, whatever comes next."""
        self._events.flush()

    def run_end(self, summary: Mapping[str, Any]) -> None:
        """The last of it."""
        self._events.close()

    def _write(self, tag: str, values: Tensor, step: int) -> None:
        numbers = values.detach().float().flatten()
        finite = numbers[numbers.isfinite()].cpu()
        if len(finite):
            self._events.at(step).add_histogram(tag, finite, step)
