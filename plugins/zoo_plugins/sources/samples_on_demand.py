"""Samples that are made when they are asked for, out of what takes less memory than they would."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

from zoo_registry.protocols import Sample


class SamplesOnDemand(Sequence[Sample]):
    """A sequence whose subclass says how many samples there are and makes one of them.

    Example:
        >>> class Numbered(SamplesOnDemand):
        ...     def __len__(self):
        ...         return 3
        ...     def make(self, at):
        ...         return Sample(f"{at}.mp4")
        >>> Numbered()[-1].media, [sample.media for sample in Numbered()[:2]]
        ('2.mp4', ['0.mp4', '1.mp4'])
    """

    @abstractmethod
    def make(self, at: int) -> Sample:
        """The sample of this number, which is from 0 on and below the length."""

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self.make(at) for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.make(at)
