"""Which axes of a file's inputs may have any length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

BATCH, FRAMES = 0, 2
_NAMES = {BATCH: "batch", FRAMES: "frames", 3: "height", 4: "width"}


def axes_of(
    names: Sequence[str], *, batch: bool, frames: bool = False, more: Mapping[str, Sequence[int]] | None = None
) -> list[dict[int, str]]:
    """For each input the axes of any length, with the name that inputs share an axis by.

    Args:
        names: of the inputs; those that end in `bcthw` are clips.
        batch: whether the first axis is one.
        frames: whether the frames of clips are one.
        more: axes by the name of the input.

    Example:
        >>> axes_of(["clip_bcthw", "audio_bcn"], batch=True, frames=True)
        [{0: 'batch', 2: 'frames'}, {0: 'batch'}]
    """
    found = []
    for name in names:
        axes = {BATCH} if batch else set()
        if frames and name.endswith("bcthw"):
            axes.add(FRAMES)
        axes |= set((more or {}).get(name, ()))
        found.append({axis: _NAMES.get(axis, f"axis{axis}") for axis in sorted(axes)})
    return found


def as_dimensions(
    axes: Sequence[Mapping[int, str]], largest: Mapping[str, int]
) -> tuple[dict[int, torch.export.Dim], ...]:
    """The same for `torch.export`, with how long an axis can be by its name."""
    known: dict[str, torch.export.Dim] = {}
    return tuple(
        {axis: known.setdefault(name, torch.export.Dim(name, max=largest.get(name))) for axis, name in one.items()}
        for one in axes
    )


def batch_of(size: int, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The first `size` samples, repeated if there are fewer: a batch of one would be taken for a constant."""
    return tuple(torch.cat([tensor[:size]] * size)[:size].contiguous() for tensor in inputs)
