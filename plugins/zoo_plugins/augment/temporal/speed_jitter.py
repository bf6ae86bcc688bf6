"""Slower motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.ranges import in_order
from zoo_plugins.augment.temporal.frame_order import chosen, take_frames
from zoo_registry import Range
from zoo_registry.protocols import Augment, Batch

Part = Annotated[float, Range(gt=0, le=1)]


@dataclass(frozen=True)
class SpeedJitter:
    """See `speed_jitter`."""

    part: tuple[float, float]
    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with every clip showing a drawn part of itself at a speed of its own."""
        count, frames = batch.inputs[CLIP].shape[0], batch.inputs[CLIP].shape[2]
        changed_b1 = chosen(count, self.p, generator)
        size_draw, place_draw = torch.rand(2, count, 1, generator=generator, dtype=torch.float64)
        part_b1 = self.part[0] + (self.part[1] - self.part[0]) * size_draw
        part_b1 = torch.where(changed_b1, part_b1, torch.ones_like(part_b1))
        return take_frames(batch, frames_of_part(part_b1, place_draw * (1 - part_b1), frames))


def frames_of_part(part_b1: Tensor, start_b1: Tensor, frames: int) -> Tensor:
    """Which frame is nearest to the middle of each of `frames` equal stretches of a part of the clip.

    Args:
        part_b1: (B, 1) float, length of the part; the clip's is 1.
        start_b1: (B, 1) float, where it starts, 0..1 - part.
        frames: T.

    Returns:
        (B, T) int64.

    Example:
        >>> frames_of_part(torch.tensor([[0.5]]), torch.tensor([[0.25]]), 8)
        tensor([[2, 2, 3, 3, 4, 4, 5, 5]])
    """
    middle_t = (torch.arange(frames) + 0.5) / frames
    return ((start_b1 + part_b1 * middle_t) * frames).long().clamp_(max=frames - 1)


def speed_jitter(*, part: tuple[Part, Part] = (0.5, 1.0), p: Annotated[float, Range(ge=0, le=1)] = 1.0) -> Augment:
    """Show a random part of each clip in as many frames as the whole has: motion becomes slower by 1 / part.

    The nearest decoded frame stands at each place, so frames repeat. What was not decoded cannot be shown: for faster
    motion raise `data.clip.stride`, and let `part` start at one over the same factor. The length stays; target clips
    and masks move along, sound stays.

    Args:
        part: least and greatest part of the clip that is shown, drawn uniformly; its place too.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    return SpeedJitter(in_order("part", *part), p)
