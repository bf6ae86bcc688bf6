"""Degradations of single clips: each sample is drawn for, and changed on its own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP
from zoo_registry.protocols import Batch

Drawn = TypeVar("Drawn")


@dataclass(frozen=True, kw_only=True)
class Degradation(ABC, Generic[Drawn]):
    """A change with parameters of its own for each sample, done with probability p.

    Target clips are left alone: they are what should come out. The parameters are Python values, which the CPU draws;
    nothing is read from the device for them.

    Attributes:
        p: probability for each sample.
    """

    p: float

    @abstractmethod
    def draw(self, clip_bcthw: Tensor, generator: Generator) -> Sequence[Drawn]:
        """The parameters of every sample, whether it is chosen or not."""

    @abstractmethod
    def degrade(self, clip_cthw: Tensor, drawn: Drawn) -> Tensor:
        """One clip, changed; as large as before and of the same type."""

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with some of the clips degraded."""
        clip_bcthw = batch.inputs[CLIP]
        chosen = (torch.rand(len(clip_bcthw), generator=generator) < self.p).tolist()
        drawn = self.draw(clip_bcthw, generator)
        clips = [
            self.degrade(clip_cthw, its) if is_chosen else clip_cthw
            for clip_cthw, its, is_chosen in zip(clip_bcthw, drawn, chosen, strict=True)
        ]
        return replace(batch, inputs={**batch.inputs, CLIP: torch.stack(clips)})


def uniform(count: int, low: float, high: float, generator: Generator) -> list[float]:
    """Numbers between, as Python floats."""
    draws = torch.rand(count, generator=generator, dtype=torch.float64)
    values: list[float] = (low + (high - low) * draws).tolist()
    return values


def log_uniform(count: int, low: float, high: float, generator: Generator) -> list[float]:
    """Numbers between whose logarithm is uniform: as many from 1 to 10 as from 10 to 100."""
    return [math.exp(value) for value in uniform(count, math.log(low), math.log(high), generator)]


def whole(count: int, low: int, high: int, generator: Generator) -> list[int]:
    """Whole numbers from low to high, both included."""
    values: list[int] = torch.randint(low, high + 1, (count,), generator=generator).tolist()
    return values
