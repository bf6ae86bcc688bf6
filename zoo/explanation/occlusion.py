"""Occlusion: hide a part of the clip, and see what that costs the label. Asks nothing of the model but answers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from zoo.explanation.question import Question

CELLS = (4, 7, 7)
"""Into how many parts a clip is cut along time, height and width, at most."""

AT_ONCE = 8
"""Clips that go through the model together."""


@torch.no_grad()
def occlusion(question: Question) -> Tensor:
    """Occlusion (Zeiler and Fergus 2014, section 4.2) over space and time; hidden parts get the mean colour.

    Args:
        question: what is asked.

    Returns:
        (T', H', W'), by how much the label's logit falls without each part, not below 0.

    Source:
        https://arxiv.org/abs/1311.2901
    """
    clip_bcthw = question.clip_bcthw
    cells = [min(most, side) for most, side in zip(CELLS, clip_bcthw.shape[2:], strict=True)]
    parts = [
        (t, y, x) for t in _cut(clip_bcthw.shape[2], cells[0]) for y in _cut(clip_bcthw.shape[3], cells[1])
        for x in _cut(clip_bcthw.shape[4], cells[2])
    ]  # fmt: skip
    whole = question.logits(clip_bcthw)[0, question.label]
    hidden = [
        question.logits(torch.cat([_without(clip_bcthw, part) for part in parts[first : first + AT_ONCE]]))
        for first in range(0, len(parts), AT_ONCE)
    ]
    return (whole - torch.cat(hidden)[:, question.label]).view(*cells).clamp(min=0)


def _cut(side: int, parts: int) -> list[slice]:
    """A side in equal parts.

    Example:
        >>> _cut(7, 2)
        [slice(0, 4, None), slice(4, 7, None)]
    """
    ends = [round(side * part / parts) for part in range(parts + 1)]
    return [slice(first, last) for first, last in pairwise(ends)]


def _without(clip_bcthw: Tensor, part: tuple[slice, slice, slice]) -> Tensor:
    """A copy in which a part has the mean colour, which is 0 behind the normalisation."""
    changed = clip_bcthw.clone()
    changed[(..., *part)] = 0
    return changed
