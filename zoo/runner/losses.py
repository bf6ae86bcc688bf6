"""Keeps the losses of a run without asking the device for them at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo.distributed.processes import ALONE, Processes
from zoo_registry.errors import NonFiniteLoss


@dataclass(frozen=True)
class _Pending:
    """Losses of one batch that are still on the device."""

    names: tuple[str, ...]
    values: Tensor
    step: int
    index: Tensor


@dataclass
class Mean:
    """Means weighted by samples."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: float, samples: int) -> None:
        """Take in the mean over some samples."""
        self.sums[name] = self.sums.get(name, 0.0) + value * samples
        self.counts[name] = self.counts.get(name, 0) + samples

    def values(self) -> dict[str, float]:
        """The means so far."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}


class Losses:
    """Running means of a run's losses: since the last log line, and since the epoch began.

    Asking a GPU for a number waits for all its work; so losses stay on the device until `read`, which also
    finds those that are NaN or infinite.

    Args:
        keys: names of samples by index, for the error.
        processes: those that train together; means are over the samples of all.
        tolerant: leave values out that are NaN or infinite.

    Attributes:
        interval: means since the last log line.
        epoch: means since the epoch began.
    """

    def __init__(self, keys: Callable[[int], str], processes: Processes = ALONE, *, tolerant: bool = False) -> None:
        self._keys, self._processes, self._tolerant = keys, processes, tolerant
        self._pending: list[_Pending] = []
        self.interval = Mean()
        self.epoch = Mean()

    def add(self, losses: Mapping[str, Tensor], *, step: int, index: Tensor, prefix: str = "") -> None:
        """Note the losses of one batch.

        Args:
            losses: scalars; `total` is kept as `loss`, `name` as `loss/name`.
            step: the step the batch belongs to, the first is 1.
            index: (B,) which samples, on the CPU.
            prefix: put before the names: `critic/`.
        """
        names = tuple(f"{prefix}loss" if name == "total" else f"{prefix}loss/{name}" for name in losses)
        values = torch.stack([loss.detach().float() for loss in losses.values()])
        self._pending.append(_Pending(names, values, step, index))

    def read(self) -> None:
        """Fetch what is on the device; all processes together.

        Raises:
            NonFiniteLoss: a loss is NaN or infinite; says at which step and for which samples.
        """
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        fetched = torch.cat([item.values for item in pending]).tolist()
        counts = [len(item.index) for item in pending for _ in item.names]
        values, samples = self._processes.means(fetched, counts)
        places = [(name, item) for item in pending for name in item.names]
        if not self._tolerant and not all(map(math.isfinite, values)):
            raise self._not_finite(places, fetched)
        for (name, _), value, count in zip(places, values, samples, strict=True):
            if math.isfinite(value):
                for mean in (self.interval, self.epoch):
                    mean.add(name, value, count)

    def forget(self) -> None:
        """Drop what is on the device."""
        self._pending = []

    def state(self) -> dict[str, Any]:
        """JSON-able state for a checkpoint; call `read` first."""
        return {
            part: {"sums": mean.sums, "counts": mean.counts}
            for part, mean in (("interval", self.interval), ("epoch", self.epoch))
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        self._pending = []
        self.interval, self.epoch = Mean(**state["interval"]), Mean(**state["epoch"])

    def _not_finite(self, places: Sequence[tuple[str, _Pending]], fetched: Sequence[float]) -> NonFiniteLoss:
        """The first in any process: every one of them has to say the same."""
        bad = ((name, value, item) for (name, item), value in zip(places, fetched, strict=True))
        mine = next((self._in_words(*each) for each in bad if not math.isfinite(each[1])), None)
        said = next(text for text in self._processes.gathered(mine) if text is not None)
        error = NonFiniteLoss(said, hint="lower optim.params.lr, set run.clip_grad_norm, or look at these samples")
        return self._processes.everywhere(error)

    def _in_words(self, name: str, value: float, item: _Pending) -> str:
        samples = [self._keys(int(index)) for index in item.index[:4]]
        more = f" and {len(item.index) - 4} more" if len(item.index) > 4 else ""
        word = "NaN" if math.isnan(value) else "infinite"
        return f"{name} became {word} at step {item.step}, on the batch of {', '.join(samples)}{more}"
