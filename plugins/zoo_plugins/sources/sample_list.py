"""What every source here returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo_registry.protocols import Sample


@dataclass(frozen=True)
class SampleList:
    """Samples of one split and the names of their classes, in the order of their indices.

    Attributes:
        samples: not decoded yet.
        labels: class names, or names of the values.
        notes: sentences that a user should read before the run, such as how many films are missing.
    """

    samples: Sequence[Sample]
    labels: Sequence[str]
    notes: Sequence[str] = ()
