"""Pieces of a clip in another order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import CLIP
from zoo_plugins.augment.temporal.frame_order import chosen, take_frames
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class SegmentShuffle:
    """See `segment_shuffle`."""

    segments: int
    p: float

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with the pieces of some clips in another order."""
        count, frames = batch.inputs[CLIP].shape[0], batch.inputs[CLIP].shape[2]
        if self.segments > frames:
            raise ParameterError(
                f"segment_shuffle cannot cut clips of {frames} frames into {self.segments} segments",
                hint=f"set segments to at most {frames}" if frames > 1 else "leave it out for single frames",
            )
        changed_b1 = chosen(count, self.p, generator)
        order_bs = torch.rand(count, self.segments, generator=generator).argsort(dim=1)
        return take_frames(batch, torch.where(changed_b1, reordered(order_bs, frames), torch.arange(frames)))


def reordered(order_bs: Tensor, frames: int) -> Tensor:
    """The frames of segments that stand in another order.

    Args:
        order_bs: (B, S) int64, permutations: which segment comes first, second, ...
        frames: T, cut into S segments whose lengths differ by at most one.

    Returns:
        (B, T) int64.

    Example:
        >>> reordered(torch.tensor([[1, 0, 2]]), 7)
        tensor([[2, 3, 0, 1, 4, 5, 6]])
    """
    count = order_bs.shape[1]
    segments = torch.arange(frames).tensor_split([frames * each // count for each in range(1, count)])
    return torch.stack([torch.cat([segments[each] for each in order]) for order in order_bs.tolist()])


def segment_shuffle(
    *, segments: Annotated[int, Range(ge=2)] = 4, p: Annotated[float, Range(ge=0, le=1)] = 1.0
) -> Augment:
    """Cut clips into equal segments and put these in a random order; frames within a segment keep theirs.

    For models that should not lean on the order of events, or be told by it (Misra et al. 2016, "Shuffle and Learn").
    Target clips and masks move along, sound stays.

    Args:
        segments: how many; their lengths differ by at most one frame.
        p: probability for each sample.

    Raises:
        ParameterError: when used on clips with fewer frames than segments.
    """
    return SegmentShuffle(segments, p)
