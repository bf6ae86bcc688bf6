"""A split whose samples come one after the other, out of shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zoo.data.split import Split
from zoo_registry.errors import DataError, Problem

if TYPE_CHECKING:
    from zoo_registry.protocols import SampleStream

SHARD_BITS = 32
"""A sample's index is its shard's number, shifted by so much, plus its place in the shard."""


@dataclass(frozen=True, repr=False)
class StreamSplit(Split):
    """A part of the data that cannot be asked for a sample by number; `samples` is empty.

    Attributes:
        stream: what its source's builder returned.
    """

    stream: SampleStream = field(kw_only=True)

    def __repr__(self) -> str:
        return f"StreamSplit({self.name!r}, {len(self.stream.shards)} shards, {len(self.labels)} labels)"

    def name_of(self, index: int) -> str:
        """What a person can find a sample by.

        Args:
            index: as batches carry it.
        """
        shard, place = divmod(index, 1 << SHARD_BITS)
        return f"{self.stream.shards[shard]}, sample {place + 1}"


def open_stream(source: SampleStream, name: str, labels: Sequence[str] | None = None) -> StreamSplit:
    """Check what can be known of a stream before it is read; its samples are checked when they come.

    Args:
        source: what a source's builder returned.
        name: `train`, `val` or `test`.
        labels: the classes of the training data, when this is another split; None takes the stream's own.

    Raises:
        DataError: no shards, or classes that are listed twice.
    """
    known = tuple(source.labels if labels is None else labels)
    problems = []
    if not source.shards:
        problems.append(Problem(f"the {name} split has no shards", hint="look at the path of its source"))
    if twice := sorted({label for label in known if known.count(label) > 1}):
        problems.append(Problem(f"class {twice[0]!r} is listed twice", hint="each class name stands for one index"))
    if problems:
        raise DataError(problems)
    return StreamSplit(name, (), known, notes=tuple(getattr(source, "notes", ())), stream=source)


def name_of(split: Split, index: int) -> str:
    """What a person can find a sample of any split by."""
    return split.name_of(index) if isinstance(split, StreamSplit) else split.samples[index].name


def index_in_stream(shard: int, place: int) -> int:
    """A sample's index.

    Example:
        >>> index_in_stream(0, 7), index_in_stream(1, 0) == 2**32
        (7, True)
    """
    return (shard << SHARD_BITS) + place
