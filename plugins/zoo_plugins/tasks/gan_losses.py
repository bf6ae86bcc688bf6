"""What a critic and a generator minimise, from the critic's scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import relu, softplus

GanLoss = Literal["non_saturating", "hinge", "wasserstein"]


def critic_loss(kind: GanLoss, real_b: Tensor, fake_b: Tensor) -> Tensor:
    """What the critic minimises, in float32.

    - `non_saturating`: cross-entropy of "real" (Goodfellow et al. 2014, algorithm 1), scores being logits.
    - `hinge`: scores above 1 for real and below -1 for made clips cost nothing (Lim and Ye 2017, equation 4).
    - `wasserstein`: the difference of the means (Arjovsky et al. 2017, algorithm 1).

    Args:
        kind: one of these.
        real_b: scores (B,) of real clips.
        fake_b: scores (B,) of made clips.

    Example:
        >>> round(float(critic_loss("non_saturating", torch.zeros(2), torch.zeros(2))), 4)      # 2 log 2
        1.3863
        >>> float(critic_loss("hinge", torch.tensor([2.0]), torch.tensor([-0.5])))
        0.5
        >>> float(critic_loss("wasserstein", torch.tensor([2.0]), torch.tensor([-0.5])))
        -2.5
    """
    real_b, fake_b = real_b.float(), fake_b.float()
    if kind == "non_saturating":
        return softplus(-real_b).mean() + softplus(fake_b).mean()
    if kind == "hinge":
        return relu(1 - real_b).mean() + relu(1 + fake_b).mean()
    return fake_b.mean() - real_b.mean()


def generator_loss(kind: GanLoss, fake_b: Tensor) -> Tensor:
    """What the generator minimises, in float32: with `non_saturating` the cross-entropy of its clips with "real".

    Example:
        >>> round(float(generator_loss("non_saturating", torch.zeros(2))), 4)                   # log 2
        0.6931
        >>> float(generator_loss("hinge", torch.tensor([3.0])))
        -3.0
    """
    fake_b = fake_b.float()
    return softplus(-fake_b).mean() if kind == "non_saturating" else -fake_b.mean()


def gradient_penalty(critic: Module, real_bcthw: Tensor, fake_bcthw: Tensor) -> Tensor:
    """How far the critic's slopes between real and made clips are from 1 (Gulrajani et al. 2017, equation 3).

    Args:
        critic: clips to scores (B,), each by itself.
        real_bcthw: real clips.
        fake_bcthw: made clips, without gradients.

    Returns:
        Mean of (|gradient| - 1)^2 at a point drawn from each line between a real and a made clip; a scalar.
    """
    share_b1111 = torch.rand(len(real_bcthw), 1, 1, 1, 1, device=real_bcthw.device)
    between_bcthw = real_bcthw.float().lerp(fake_bcthw.float(), share_b1111)
    length_b: Tensor = torch.linalg.vector_norm(_slopes(critic, between_bcthw), dim=1)
    return (length_b - 1).square().mean()


def r1_penalty(critic: Module, real_bcthw: Tensor) -> Tensor:
    """Half the mean squared slope of the critic at real clips (Mescheder et al. 2018, equation 9, without gamma)."""
    return _slopes(critic, real_bcthw.float()).square().sum(dim=1).mean() / 2


def _slopes(critic: Callable[[Tensor], Tensor], clip_bcthw: Tensor) -> Tensor:
    """Gradients (B, N) of the scores by the clips, which can be differentiated again; in float32, and not compiled.

    Half precision loses small slopes, and what torch.compile makes can be differentiated once only.
    """
    clip_bcthw = clip_bcthw.detach().requires_grad_()
    eager = torch.compiler.set_stance("force_eager")
    with torch.enable_grad(), torch.autocast(clip_bcthw.device.type, enabled=False), eager:
        (slope_bcthw,) = torch.autograd.grad(critic(clip_bcthw).sum(), clip_bcthw, create_graph=True)
    return slope_bcthw.flatten(1)
