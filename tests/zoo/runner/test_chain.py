"""Augmentations of a list run in order, and neighbours that can be one step are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from zoo.runner.pipeline import chained
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class Plain:
    """Adds to every pixel; knows nothing of merging."""

    value: int

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        return replace(batch, inputs={"clip_bcthw": batch.inputs["clip_bcthw"] + self.value})


@dataclass(frozen=True)
class Sum:
    """Adds several numbers, each with a draw of its own, in one pass."""

    values: tuple[int, ...]

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        draws = [int(torch.randint(10, (), generator=generator)) for _ in self.values]
        total = sum(value * draw for value, draw in zip(self.values, draws, strict=True))
        return replace(batch, inputs={"clip_bcthw": batch.inputs["clip_bcthw"] + total})

    def fused(self, following: Augment) -> Augment | None:
        return Sum(self.values + following.values) if isinstance(following, Sum) else None


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def black() -> Batch:
    return Batch({"clip_bcthw": torch.zeros(1, 3, 1, 2, 2)}, {}, torch.tensor([0]), torch.tensor([0]))


def test_neighbours_that_can_are_merged_however_many():
    steps = [Sum((1,)), Sum((20,)), Sum((300,)), Plain(7), Sum((4000,)), Plain(5), Plain(6)]
    assert chained(steps).steps == [Sum((1, 20, 300)), Plain(7), Sum((4000,)), Plain(5), Plain(6)]


def test_merged_steps_draw_and_do_what_the_single_ones_do():
    steps = [Sum((1,)), Sum((20,)), Plain(7), Sum((300,))]
    apart, together = seeded(), seeded()
    expected = black()
    for step in steps:
        expected = step(expected, apart)
    merged = chained(steps)(black(), together)
    assert torch.equal(merged.inputs["clip_bcthw"], expected.inputs["clip_bcthw"])
    assert torch.equal(apart.get_state(), together.get_state())


def test_an_empty_list_changes_nothing():
    batch = black()
    assert chained([])(batch, seeded()) is batch
