"""Averages of the weights over a run, which often judge better than the last ones: EMA and SWA.

The averages are kept beside the weights that learn. `swapped_in` puts them in the weights' place for an evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn, update_bn

from zoo.distributed.sharded import is_divided
from zoo.recipe.slots import AVERAGES
from zoo_registry.entries import Range
from zoo_registry.errors import ParameterError, RunError

if TYPE_CHECKING:
    from zoo.recipe.schema import AverageSlot

Item = TypeVar("Item")

Start = Annotated[float, Range(ge=0)]
"""Below 1 a fraction of the run, from 1 on a whole number of epochs."""


class Average:
    """What both averages share.

    Args:
        state: the task's; its parameters that learn are averaged, wherever they are.
        steps: of the whole run.
        epochs: of the whole run.
        start: when averaging begins; see `Start`.

    Attributes:
        count: how many times weights were taken into the average; with 0 there is none, and nothing is swapped.

    Raises:
        ParameterError: it would begin only after the run, or at no whole epoch.
    """

    def __init__(self, state: Module, steps: int, epochs: int, *, start: Start) -> None:
        if start >= 1 and start != int(start):
            raise ParameterError(
                f"start is {start:g}", hint="below 1 it is a fraction of the run, from 1 on a whole number of epochs"
            )
        if start >= max(epochs, 1):
            raise ParameterError(
                f"an average from epoch {start:g} on begins after the run, which has {epochs} epochs",
                hint="write a fraction of the run, such as 0.75",
            )
        self.count = 0
        self._state = state
        self._learning = [name for name, parameter in state.named_parameters() if parameter.requires_grad]
        self._called = _names_by_first(state)
        self._per_epoch = max(steps // max(epochs, 1), 1)
        self._start = round(start * steps) if start < 1 else int(start) * self._per_epoch
        self._kept: dict[str, Tensor] = {}
        self._swapped = False

    def update(self, step: int, epoch: int) -> None:
        """Take the present weights into the average, where it is time to.

        Args:
            step: how many steps are done.
            epoch: how many epochs are done.
        """
        if step <= self._start or not self.is_time(step):
            return
        with torch.no_grad():
            self._take(self._current())
        self.count += 1

    def is_time(self, step: int) -> bool:
        """Whether the weights after a step count."""
        raise NotImplementedError

    def average(self, kept: list[Tensor], current: list[Tensor]) -> None:
        """Move what is kept, in place, towards the present values of the same tensors."""
        raise NotImplementedError

    def averages(self, name: str) -> bool:
        """Whether a tensor of the state is averaged; of the others the last value is kept."""
        return name in self._learning

    def needs_statistics(self, network: Module) -> bool:
        """Whether `refresh` has to be called before an evaluation."""
        return False

    def refresh(self, network: Module, batches: Iterable[Item], forward: Callable[[Item], object]) -> None:
        """Measure what only data can tell, where `needs_statistics` says so.

        Args:
            network: what is evaluated, in train mode but for what is frozen.
            batches: training data.
            forward: computes a batch with the network.
        """

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The weights are the averages within, and what they were afterwards; nothing happens where there is none."""
        with self._swap(True):
            yield

    @contextmanager
    def swapped_out(self) -> Iterator[None]:
        """Within `swapped_in`: the weights are those that learn. For a checkpoint that is written in an evaluation."""
        with self._swap(False):
            yield

    def settle(self) -> None:
        """Leave the averages in the weights' place, for good."""
        if self.count and not self._swapped:
            self._exchange()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by the names of the task's state, and the JSON-able rest."""
        kept = self._current() if self._swapped else self._kept
        tensors = {name: value for first, value in kept.items() for name in self._called.get(first, [first])}
        return tensors, {"count": self.count}

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Continue from what `state` gave.

        Raises:
            RunError: the averages are of another model.
        """
        current = self._current() if record["count"] else {}
        if any(name not in tensors or tensors[name].shape != value.shape for name, value in current.items()):
            raise RunError("the averaged weights of the checkpoint are of another model")
        self.count = int(record["count"])
        self._kept = {name: _like(value, tensors[name]) for name, value in current.items()}

    def _current(self) -> dict[str, Tensor]:
        """What is kept an average or the last value of: all that learns, and all buffers, each once."""
        saved = self._state.state_dict()
        names = [*self._learning, *(name for name, _ in self._state.named_buffers())]
        return {name: saved[name] for name in names if name in saved}

    def _take(self, current: Mapping[str, Tensor]) -> None:
        if not self.count:
            self._kept = {name: _like(value, value) for name, value in current.items()}
            return
        averaged = [name for name in current if self.averages(name) and current[name].is_floating_point()]
        for divided in (False, True):  # torch computes lists of tensors at once, all of one kind
            names = [name for name in averaged if is_divided(current[name]) is divided]
            kept = [self._kept[name] for name in names]
            if kept:
                self.average(kept, [current[name].to(each.dtype) for name, each in zip(names, kept, strict=True)])
        for name in current.keys() - set(averaged):
            self._kept[name].copy_(current[name])

    @contextmanager
    def _swap(self, wanted: bool) -> Iterator[None]:
        changes = bool(self.count) and self._swapped is not wanted
        if changes:
            self._exchange()
        try:
            yield
        finally:
            if changes:
                self._exchange()

    def _exchange(self) -> None:
        """In place, tensor by tensor: graphs and optimisers hold on to the same memory, and one tensor is spare."""
        with torch.no_grad():
            for name, value in self._current().items():
                spare = _like(value, value)
                value.copy_(self._kept[name])
                self._kept[name].copy_(spare)
        self._swapped = not self._swapped


class ExponentialAverage(Average):
    """Moves a little towards the weights after every step (Polyak & Juditsky 1992; Tan & Le 2019, section 5).

    Running statistics are averaged as the weights are. As timm's ModelEmaV3.

    Args:
        state: see `Average`.
        steps: see `Average`.
        epochs: see `Average`.
        decay: how much of the average stays in an update.
        warmup: whether it stays less at first: 1 - (1 + n)^(-2/3) after n updates, at most `decay`.
        start: when averaging begins.
        every: steps between two updates.

    Example:
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> average = ExponentialAverage(model, 10, 1, decay=0.5, warmup=False)
        >>> for step, weight in enumerate([0.0, 4.0], start=1):
        ...     _ = torch.nn.init.constant_(model.weight, weight)
        ...     average.update(step, 0)
        >>> with average.swapped_in():
        ...     model.weight.item()
        2.0
        >>> model.weight.item()
        4.0
    """

    def __init__(
        self,
        state: Module,
        steps: int,
        epochs: int,
        *,
        decay: Annotated[float, Range(ge=0, lt=1)] = 0.999,
        warmup: bool = True,
        start: Start = 0.0,
        every: Annotated[int, Range(ge=1)] = 1,
    ) -> None:
        super().__init__(state, steps, epochs, start=start)
        self._decay, self._warmup, self._every = decay, warmup, every

    def is_time(self, step: int) -> bool:
        """After every so many steps."""
        return step % self._every == 0

    def averages(self, name: str) -> bool:
        """Running statistics too."""
        return True

    def average(self, kept: list[Tensor], current: list[Tensor]) -> None:
        """Move by what the decay leaves."""
        decay = min(self._decay, 1 - (1 + self.count) ** (-2 / 3)) if self._warmup else self._decay
        get_ema_multi_avg_fn(decay)(kept, current, self.count)  # type: ignore[no-untyped-call]


class StochasticAverage(Average):
    """The mean of the weights at the ends of the last epochs (SWA; Izmailov et al. 2018, algorithm 1).

    It wants a learning rate that stays high meanwhile. Statistics of batch norms are none of the mean weights' own:
    `refresh` measures them anew.

    Args:
        state: see `Average`.
        steps: see `Average`.
        epochs: see `Average`.
        start: when averaging begins.
        every: epochs between two updates.
    """

    def __init__(
        self,
        state: Module,
        steps: int,
        epochs: int,
        *,
        start: Start = 0.75,
        every: Annotated[int, Range(ge=1)] = 1,
    ) -> None:
        super().__init__(state, steps, epochs, start=start)
        self._every = every
        self._measured = False
        if steps // (self._per_epoch * every) * self._per_epoch * every <= self._start < steps:
            raise ParameterError(
                f"no epoch is averaged: every {every} epochs, from {start:g} on, of {epochs}",
                hint="start earlier, or set `every` to 1",
            )

    def is_time(self, step: int) -> bool:
        """At the ends of every so many epochs."""
        return step % (self._per_epoch * self._every) == 0

    def update(self, step: int, epoch: int) -> None:
        """See `Average.update`."""
        before = self.count
        super().update(step, epoch)
        self._measured = self._measured and before == self.count

    def average(self, kept: list[Tensor], current: list[Tensor]) -> None:
        """The mean of one more."""
        get_swa_multi_avg_fn()(kept, current, self.count)  # type: ignore[no-untyped-call]

    def needs_statistics(self, network: Module) -> bool:
        """Where there are batch norms that learn, and the mean has changed."""
        return bool(self.count) and not self._measured and bool(_batch_norms(network))

    def refresh(self, network: Module, batches: Iterable[Item], forward: Callable[[Item], object]) -> None:
        """Measure the statistics of batch norms under the averaged weights; see `Average.refresh`."""
        with self.swapped_in():
            update_bn(batches, _Statistics(_batch_norms(network), forward))
        self._measured = True

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Average.state`."""
        tensors, record = super().state()
        return tensors, {**record, "measured": self._measured}

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """See `Average.load`."""
        super().load(tensors, record)
        self._measured = bool(record["measured"])


class _Statistics(Module):
    """As `update_bn` wants it: a module with the batch norms to measure, called with a batch."""

    def __init__(self, norms: list[Module], forward: Callable[[Any], object]) -> None:
        super().__init__()
        self.norms = torch.nn.ModuleList(norms)
        self._computes = (forward,)  # bare, a module would become a part of this one

    def forward(self, batch: Any) -> None:
        self._computes[0](batch)


def make_average(slot: AverageSlot | None, state: Module, steps: int, epochs: int) -> Average | None:
    """The average that a recipe asks for.

    Args:
        slot: `run.average`, checked.
        state: the task's.
        steps: of the whole run.
        epochs: of the whole run.

    Raises:
        ParameterError: it would begin after the run.
    """
    if slot is None:
        return None
    made: Average = resolve_name(AVERAGES[slot.name])(state, steps, epochs, **slot.params)
    return made


def with_averages(
    state: Mapping[str, Tensor], averages: Mapping[str, Tensor], record: Mapping[str, Any]
) -> dict[str, Tensor]:
    """A task's state from a checkpoint, with the averages in the place of the weights where there are any.

    Args:
        state: tensors by the names of the task's state.
        averages: the first of what `Average.state` gave.
        record: the second.
    """
    return {**state, **(averages if record["count"] else {})}


def _names_by_first(state: Module) -> dict[str, list[str]]:
    """All names of every parameter, which may be tied to others, by the first."""
    names: dict[int, list[str]] = {}
    for name, parameter in state.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {called[0]: called for called in names.values()}


def _batch_norms(network: Module) -> list[Module]:
    """Those that follow the data, which frozen ones do not."""
    return [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    ]


def _like(place: Tensor, value: Tensor) -> Tensor:
    """A copy of a value where another is, in at least 32 bits: small changes are lost in fewer."""
    least = torch.float32 if place.is_floating_point() and place.dtype.itemsize < 4 else place.dtype
    return torch.empty_like(place, dtype=least).copy_(value)
