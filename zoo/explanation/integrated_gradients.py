"""Integrated gradients, computed by captum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from zoo.explanation.question import Question
from zoo_registry.errors import MissingExtra

STEPS = 32
"""Points on the way from the baseline to the clip."""

AT_ONCE = 4
"""Of them that go through the network together."""


def integrated_gradients(question: Question) -> Tensor:
    """Integrated gradients (Sundararajan et al. 2017, equation 3), from a clip of the mean colour to the film's.

    What single pixels contribute changes its sign from one to the next: contributions are summed over neighbourhoods of
    a sixteenth of the picture, and what speaks for the label is kept.

    Args:
        question: what is asked.

    Returns:
        (T, H, W), what each pixel's neighbourhood adds to the label's logit, not below 0.

    Raises:
        MissingExtra: captum is not installed.
        Unsuitable: the model is an exported file.

    Source:
        https://arxiv.org/abs/1703.01365
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise MissingExtra(
            "integrated gradients are computed by captum, which is not installed",
            hint='pip install "videozoo[explain]"',
        ) from error
    question.module()
    clip_bcthw = question.clip_bcthw
    with torch.enable_grad():
        contributions_bcthw = IntegratedGradients(question.logits).attribute(
            clip_bcthw,
            baselines=torch.zeros_like(clip_bcthw),
            target=question.label,
            n_steps=STEPS,
            internal_batch_size=AT_ONCE,
        )
    sum_b1thw = contributions_bcthw.detach().float().sum(1, keepdim=True)
    side = min(sum_b1thw.shape[-2:]) // 16 // 2 * 2 + 1
    spread = avg_pool3d(sum_b1thw, (1, side, side), stride=1, padding=(0, side // 2, side // 2))
    return spread[0, 0].clamp(min=0)
