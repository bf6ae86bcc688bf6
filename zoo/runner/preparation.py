"""From the loader's uint8 clips to what the model takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from zoo.runner.copies import Copies
from zoo.runner.observers import FirstOfEpoch
from zoo.runner.seeds import seed_everything, seeded_generator
from zoo.runner.time_shares import TimeShares

if TYPE_CHECKING:
    from zoo_registry.protocols import Augment, Batch


@dataclass
class Preparation:
    """Copies batches to the device, augments them there and brings them into the model's form.

    Attributes:
        copies: to the device.
        augment: the recipe's augmentations, None for none.
        preprocess: to floats in the model's mean and deviation.
        times: told how long it takes.
        shown: hands the first batch of an epoch to who wants to see it.
        generator: of the augmentations' draws, on the CPU.
    """

    copies: Copies
    augment: Augment | None
    preprocess: Callable[[Batch], Batch]
    times: TimeShares
    shown: FirstOfEpoch
    generator: torch.Generator = field(default_factory=torch.Generator)

    def seed(self, seed: int, step: int, rank: int) -> None:
        """Fix everything that is drawn in a step.

        Args:
            seed: of the run.
            step: how many are done.
            rank: of this process; each draws differently, and the first as a single one does.
        """
        apart = (rank,) if rank else ()
        seed_everything(seed, "step", step, *apart)
        seeded_generator(self.generator, seed, "augment", step, *apart)

    def __call__(self, batch: Batch) -> Batch:
        """What the model takes, on the device."""
        with self.times.measure("copy"):
            batch = self.copies(batch)
        with self.times.measure("augment"):
            augmented = batch if self.augment is None else self.augment(batch, self.generator)
            self.shown(augmented)
            return self.preprocess(augmented)
