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
class Request:
    """What a loader asks for: some samples of one epoch.

    Attributes:
        epoch: decides the draws.
        indexes: which samples.
        copies: for each, how often it came before in the epoch; empty when none did.
        number: of the request in the epoch.
    """

    epoch: int
    indexes: tuple[int, ...]
    copies: tuple[int, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class EpochPlan:
    """The requests of an epoch, made when they are asked for.

    Attributes:
        epoch: whose they are.
        order: (N,) indexes of samples, in the order in which they are shown.
        copies: (N,) how often each came before; None when none did.
        batch: samples of a request.
        start: requests that are left out at the beginning.
    """

    epoch: int
    order: np.ndarray
    copies: np.ndarray | None
    batch: int
    start: int = 0

    def __iter__(self) -> Iterator[Request]:
        for at in range(self.start * self.batch, len(self.order), self.batch):
            rows = slice(at, at + self.batch)
            copies = () if self.copies is None else tuple(self.copies[rows].tolist())
            yield Request(self.epoch, tuple(self.order[rows].tolist()), copies, at // self.batch)

    def __len__(self) -> int:
        return max(0, -(-len(self.order) // self.batch) - self.start)


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

    Raises:
        DataError: a balance of a split whose samples do not have one class each.
    """

    def __init__(self, split: Split, seed: int, balance: Balance = "none", repeat: int = 1) -> None:
        self._count, self._seed, self._balance, self._repeat = len(split.samples), seed, balance, repeat
        self._classes = None if balance == "none" else _classes(split, balance)

    def __len__(self) -> int:
        """Samples of an epoch."""
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
        return EpochPlan(epoch, shown, None if once else copy_numbers(shown), batch, start)


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


def in_order(count: int, epoch: int, batch: int) -> EpochPlan:
    """Every sample once, from the first to the last: what an evaluation asks for."""
    return EpochPlan(epoch, np.arange(count), None, batch)
