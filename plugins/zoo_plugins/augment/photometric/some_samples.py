"""Changes that some of the samples of a batch get."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.ranges import in_order
from zoo_registry.protocols import Augment, Batch


def change_rows(clip_bcthw: Tensor, rows: Sequence[int], change: Callable[[Tensor], Tensor]) -> Tensor:
    """A clip batch in which some rows are changed; the others are not computed.

    Args:
        clip_bcthw: left as it is.
        rows: which; read on the CPU, so that no device has to be waited for.
        change: called with the chosen rows (b, C, T, H, W), keeps their shape and type.
    """
    if not rows:
        return clip_bcthw
    if len(rows) == len(clip_bcthw):
        return change(clip_bcthw)
    index = torch.tensor(rows).to(clip_bcthw.device, non_blocking=True)
    return clip_bcthw.index_copy(0, index, change(clip_bcthw.index_select(0, index)))


def draw_rows(count: int, p: float, generator: Generator) -> list[int]:
    """Rows of a batch, each with probability p."""
    return (torch.rand(count, generator=generator) < p).nonzero().flatten().tolist()


@dataclass(frozen=True)
class Fixed:
    """One change, done to each sample with probability p."""

    change: Callable[[Tensor], Tensor]
    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with some clips changed."""
        clip_bcthw = batch.inputs[CLIP]
        rows = draw_rows(len(clip_bcthw), self.p, generator)
        return replace(batch, inputs={**batch.inputs, CLIP: change_rows(clip_bcthw, rows, self.change)})


@dataclass(frozen=True)
class Uniform:
    """A change by a parameter that is uniform in a range, done to each sample with probability p."""

    low: float
    high: float
    change: Callable[[Tensor, Tensor], Tensor]
    p: float

    @classmethod
    def between(
        cls, name: str, pair: tuple[float, float], change: Callable[[Tensor, Tensor], Tensor], p: float
    ) -> Augment:
        """The same, with the range checked.

        Args:
            name: what the range is called in recipes.
            pair: least and greatest value.
            change: called with clips and the parameter (b,) of each, on the CPU.
            p: probability.

        Raises:
            ParameterError: the range goes down.
        """
        in_order(name, *pair)
        return cls(*pair, change, p)

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with some clips changed."""
        clip_bcthw = batch.inputs[CLIP]
        rows = draw_rows(len(clip_bcthw), self.p, generator)
        value_b = self.low + (self.high - self.low) * torch.rand(len(clip_bcthw), generator=generator)
        changed = change_rows(clip_bcthw, rows, lambda chosen_bcthw: self.change(chosen_bcthw, value_b[rows]))
        return replace(batch, inputs={**batch.inputs, CLIP: changed})
