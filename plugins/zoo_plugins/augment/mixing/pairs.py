"""Who is mixed with whom, and how much of each is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import BOXES
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch

Per = Literal["sample", "batch"]
"""Whether every sample has a share of its own, or all samples of a batch have the same."""

_SEEDS = 2**63 - 1


@dataclass(frozen=True)
class Pairs:
    """The partner of every sample and what is left of the sample itself.

    Attributes:
        partners: B rows of the batch, a permutation.
        share_b: (B,) float64 on the CPU, how much of the sample itself is left; 1 changes nothing.
    """

    partners: tuple[int, ...]
    share_b: Tensor

    def partner_b(self, device: torch.device) -> Tensor:
        """(B,) int64, the partners on a device."""
        return torch.tensor(self.partners).to(device, non_blocking=True)


def draw_pairs(count: int, alpha: float, p: float, per: Per, generator: Generator) -> Pairs:
    """Partners from a random permutation of the batch, shares from Beta(alpha, alpha).

    A sample may be its own partner, and a batch of one always is: it stays as it is.

    Args:
        count: B.
        alpha: both parameters of the beta distribution.
        p: probability that something is mixed; else the share is 1.
        per: what has a share, and a decision by `p`, of its own.
        generator: on the CPU.
    """
    partners = tuple(torch.randperm(count, generator=generator).tolist())
    drawn = count if per == "sample" else 1
    mixed = torch.rand(drawn, generator=generator) < p
    # torch draws from a beta distribution with its global generator only, so one of numpy's is seeded from ours.
    seed = int(torch.randint(_SEEDS, (), generator=generator))
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, drawn))
    return Pairs(partners, torch.where(mixed, share, torch.ones_like(share)).expand(count))


def refuse_boxes(batch: Batch, name: str) -> None:
    """See that no sample has boxes, which would be those of two pictures in one."""
    if any(len(boxes_n4) for boxes_n4 in batch.targets.get(BOXES, ())):
        raise ParameterError(
            f"{name} cannot mix samples that have boxes: what they frame is partly gone or seen through another",
            hint=f"leave {name} out of this recipe",
        )
