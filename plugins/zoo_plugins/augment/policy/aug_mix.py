"""Several changed pictures mixed with the one that came in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from torch import Generator, Tensor

from zoo_plugins.augment.arithmetic import widened
from zoo_plugins.augment.geometric.stage import Border, Interpolation
from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.policy.operations import IDENTITY, Choice, apply_to_clips
from zoo_plugins.augment.policy.space import AUG_MIX, AUG_MIX_WITHOUT_COLOURS, choose
from zoo_plugins.augment.ranges import Alpha, Fill
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch

_LEVELS = 10  # as in the paper
_DEEPEST = 3


@dataclass(frozen=True)
class AugMix:
    """See `aug_mix`."""

    severity: int
    mixture_width: int
    chain_depth: int
    alpha: float
    all_ops: bool
    interpolation: Interpolation
    border: Border

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with every sample mixed with changed ones of its own."""
        clip_bcthw = batch.inputs[CLIP]
        weights_bw = self.draw_weights(len(clip_bcthw), generator)
        height, width = clip_bcthw.shape[-2:]
        chains = [self.draw_chain(len(clip_bcthw), (height, width), generator) for _ in range(self.mixture_width)]
        mixed = self._mix(clip_bcthw, chains, weights_bw)
        return replace(batch, inputs={**batch.inputs, CLIP: mixed})

    def draw_weights(self, count: int, generator: Generator) -> Tensor:
        """(B, 1 + mixture_width) float64 on the CPU: of the clip that came in and of each chain; they sum to 1."""
        # torch draws from Dirichlet distributions with its global generator only: one of numpy's is seeded from ours.
        seed = int(torch.randint(2**62, (), generator=generator))
        drawn = np.random.default_rng(seed)
        of_clip = drawn.dirichlet([self.alpha] * 2, count)
        of_chains = drawn.dirichlet([self.alpha] * self.mixture_width, count) * of_clip[:, 1:]
        return torch.from_numpy(np.concatenate([of_clip[:, :1], of_chains], axis=1))

    def draw_chain(self, count: int, height_width: tuple[int, int], generator: Generator) -> list[list[Choice]]:
        """For each place of a chain, what happens there to each of `count` samples."""
        space = AUG_MIX if self.all_ops else AUG_MIX_WITHOUT_COLOURS
        deepest = self.chain_depth if self.chain_depth > 0 else _DEEPEST
        depth_b = torch.randint(1, _DEEPEST + 1, (count,), generator=generator).tolist()
        draws_db3 = torch.rand(deepest, count, 3, generator=generator, dtype=torch.float64).tolist()
        return [
            [
                choose(space, (part, int(level * self.severity), sign <= 0.5), _LEVELS, height_width)
                if self.chain_depth > 0 or place < depth
                else IDENTITY
                for (part, level, sign), depth in zip(draws_b3, depth_b, strict=True)
            ]
            for place, draws_b3 in enumerate(draws_db3)
        ]

    def _mix(self, clip_bcthw: Tensor, chains: list[list[list[Choice]]], weights_bw: Tensor) -> Tensor:
        weights_wb1 = weights_bw.T.float().to(clip_bcthw.device, non_blocking=True)[..., None, None, None, None]
        mixed = widened(clip_bcthw) * weights_wb1[0]
        for chain, weight_b1 in zip(chains, weights_wb1[1:], strict=True):
            changed = widened(clip_bcthw)
            for choices in chain:
                changed = apply_to_clips(changed, choices, self.interpolation, self.border)
            mixed.addcmul_(changed.to(mixed.dtype), weight_b1)
        if clip_bcthw.is_floating_point():
            return mixed.clamp_(0, 1).to(clip_bcthw.dtype)  # float32 may sum weights to a little more than 1
        return mixed.round_().to(clip_bcthw.dtype)


def aug_mix(
    *,
    severity: Annotated[int, Range(ge=1, le=10)] = 3,
    mixture_width: Annotated[int, Range(ge=1)] = 3,
    chain_depth: int = -1,
    alpha: Alpha = 1.0,
    all_ops: bool = True,
    interpolation: Interpolation = "bilinear",
    fill: Fill = 0.0,
) -> Augment:
    """Mix every sample with several copies of it, each changed by a chain of operations; the same for every frame.

    Operations and strengths are torchvision's. The picture that came in is part of the mixture, and boxes, masks and
    target clips stay with it. (The paper's loss, which compares several mixtures of a sample, is not part of it.)

    Args:
        severity: how many of 10 strengths are drawn from, the weakest first.
        mixture_width: how many chains are mixed.
        chain_depth: operations in a chain; one to three by chance when negative or 0.
        alpha: of the Dirichlet and Beta distributions of the weights; large values mix alike.
        all_ops: with brightness, color, contrast and sharpness, which the paper leaves out because tests of robustness
            change them.
        interpolation: where pixels are moved, nearest or bilinear.
        fill: what is seen outside of a moved picture, 0..255, one value or one a channel.
    """
    border = Border("constant", fill)
    return AugMix(severity, mixture_width, chain_depth, alpha, all_ops, interpolation, border)
