"""What is read in an epoch, request by request, without a list of all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from zoo.data.loading.draws import balanced_order, copy_numbers, order
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from zoo.data.split import Split

Balance = Literal["none", "class", "square_root"]

POWERS: dict[Balance, float] = {"class": 0.0, "square_root": 0.5}
"""Share of a class in an epoch, as a power of the number of its samples."""


@dataclass(frozen=True)
class Share:
    """The part of one process where several read a split together.

    Attributes:
        rank: its number, from 0 on.
        ranks: how many there are.
    """

    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.ranks:
            raise DataError(
                f"process {self.rank} of {self.ranks} is none", hint="ranks count from 0 to their number less one"
            )

    @classmethod
    def own(cls) -> Share:
        """Of this process: what `torch.distributed` says where it was initialised, else all of it."""
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()


@dataclass(frozen=True)
class Request:
    """What a loader asks for: some samples of one epoch.

    Attributes:
        epoch: decides the draws.
        indexes: which samples.
        copies: for each, how often it came before in the epoch; empty when none did.
        number: of the request in the epoch, those of other processes counted.
    """

    epoch: int
    indexes: tuple[int, ...]
    copies: tuple[int, ...] = ()
    number: int = 0


def requests(count: int, batch: int, share: Share, *, level: bool) -> int:
    """How many requests of an epoch are those of one process; see `EpochPlan`.

    Example:
        >>> [requests(9, 2, Share(rank, 2), level=False) for rank in (0, 1)]      # 4 samples a step, and one is left
        [3, 2]
    """
    steps, left = divmod(count, batch * share.ranks)
    return steps + (left > 0 if level else left > share.rank)


@dataclass(frozen=True)
class EpochPlan:
    """The requests of an epoch, made when they are asked for.

    Attributes:
        epoch: whose they are.
        order: (N,) indexes of samples, in the order in which they are shown.
        copies: (N,) how often each came before; None when none did.
        batch: samples of a request.
        start: requests that are left out at the beginning.
        share: of this process; the requests of a step lie one behind the other in the order, the last step's samples
            are dealt out evenly.
        level: whether every process gets a request in every step, because they wait for each other; where the last step
            has too few samples, the epoch's first one comes again.
    """

    epoch: int
    order: np.ndarray
    copies: np.ndarray | None
    batch: int
    start: int = 0
    share: Share = Share()
    level: bool = False

    def __iter__(self) -> Iterator[Request]:
        for step in range(self.start, self.start + len(self)):
            rows = self._rows(step)
            copies = () if self.copies is None else tuple(self.copies[rows].tolist())
            number = step * self.share.ranks + self.share.rank
            yield Request(self.epoch, tuple(self.order[rows].tolist()), copies, number)

    def __len__(self) -> int:
        return max(0, requests(len(self.order), self.batch, self.share, level=self.level) - self.start)

    def _rows(self, step: int) -> slice:
        """The part of the order that a request shows."""
        begin = step * self.batch * self.share.ranks
        at, size = dealt(len(self.order) - begin, self.batch, self.share)
        return slice(begin + at, begin + at + size) if size else slice(0, 1)


def dealt(left: int, batch: int, share: Share) -> tuple[int, int]:
    """Where in a step's samples those of one process begin, and how many they are.

    Args:
        left: samples of the epoch from the step on.
        batch: samples of a full step for each process.
        share: of the process.

    Example:
        >>> [dealt(5, 4, Share(rank, 2)) for rank in (0, 1)]
        [(0, 3), (3, 2)]
    """
    size, more = divmod(min(batch * share.ranks, left), share.ranks)
    return share.rank * size + min(share.rank, more), size + (share.rank < more)


class Sampling:
    """Which samples an epoch of training shows, and in which order; a function of seed and epoch.

    Args:
        split: what there is.
        seed: of the run.
        balance: `none` shows every sample once; `class` draws with replacement so that all classes come equally
            often, `square_root` so that they come in proportion to the square root of their number of samples. The
            length of an epoch stays.
        repeat: every sample comes so many times in a row, each time with draws of its own (Hoffer et al. 2020,
            "Augment Your Batch"): an epoch is so much longer.
        share: of this process, in every step.

    Raises:
        DataError: a balance of a split whose samples do not have one class each.
    """

    def __init__(
        self, split: Split, seed: int, balance: Balance = "none", repeat: int = 1, share: Share = Share()
    ) -> None:
        self._share = share
        self._count, self._seed, self._balance, self._repeat = len(split.samples), seed, balance, repeat
        self._classes = None if balance == "none" else _classes(split, balance)

    def __len__(self) -> int:
        """Samples of an epoch, of all processes."""
        return self._count * self._repeat

    def plan(self, epoch: int, batch: int, start: int = 0) -> EpochPlan:
        """The requests of an epoch, from number `start` on."""
        if self._classes is None:
            shown = order(self._count, self._seed, epoch)
        else:
            shown = balanced_order(self._classes, self._seed, epoch, POWERS[self._balance])
        if self._repeat > 1:
            shown = np.repeat(shown, self._repeat)
        once = self._classes is None and self._repeat == 1
        copies = None if once else copy_numbers(shown)
        return EpochPlan(epoch, shown, copies, batch, start, self._share, level=True)


def _classes(split: Split, balance: Balance) -> np.ndarray:
    """(N,) the class of every sample."""
    known = getattr(split.samples, "class_codes", None)  # a source may have them at hand, in any numbering
    if known is not None and (codes := known()) is not None:
        return np.asarray(codes)
    numbers = {label: number for number, label in enumerate(split.labels)}
    classes = np.empty(len(split.samples), np.int64)
    for at, sample in enumerate(split.samples):
        label = sample.targets.get("label_b")
        if not isinstance(label, str | int):
            raise DataError(
                f"data.balance: {balance} needs one class per sample; {sample.name!r} of the "
                f"{split.name} split has no label_b",
                hint="write `balance: none`, or choose a source with one label per sample",
            )
        classes[at] = numbers[label] if isinstance(label, str) else label
    return classes


def in_order(count: int, epoch: int, batch: int, share: Share = Share()) -> EpochPlan:
    """Every sample once, from the first to the last: what an evaluation asks for."""
    return EpochPlan(epoch, np.arange(count), None, batch, share=share)
