"""Parts of a clip in space and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.geometry import Scale

Span = tuple[int, int]
"""From (inclusive), to (exclusive)."""


@dataclass(frozen=True)
class Cuboid:
    """A part of a clip, in frames and in pixels of the input clip."""

    frames: Span
    rows: Span
    columns: Span

    @property
    def volume(self) -> int:
        """How many pixels of how many frames it has."""
        return (self.frames[1] - self.frames[0]) * (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    def left_of_frames(self, frames: int, pixels: int) -> Tensor:
        """(T,) float64: how much of each of `frames` frames of so many pixels is outside the part."""
        left_t = torch.ones(frames, dtype=torch.float64)
        first, last = self.frames
        if last > first:
            left_t[first:last] -= self.volume / (last - first) / pixels
        return left_t

    def of(self, scale: Scale, time: Fraction) -> tuple[slice, slice, slice, slice]:
        """Index of the part in a clip (C, T, H, W).

        Args:
            scale: of that clip.
            time: how many frames it has for each of the input clip.
        """
        scaled = ((self.frames, time), (self.rows, scale[0]), (self.columns, scale[1]))
        frames, rows, columns = (slice(round(first * by), round(last * by)) for (first, last), by in scaled)
        return slice(None), frames, rows, columns


def draw_rectangles(sides: Sequence[float], height: int, width: int, generator: Generator) -> list[tuple[Span, Span]]:
    """Rows and columns of rectangles around uniform centres, cut off at the border, as torchvision's CutMix has them.

    Args:
        sides: for each, how long its sides are as a part of the picture's.
        height: of the picture in pixels.
        width: likewise.
        generator: on the CPU.
    """
    draws = torch.rand(len(sides), 2, generator=generator, dtype=torch.float64)
    centres = (draws * torch.tensor([height, width])).long().tolist()
    return [
        (_around(y, int(0.5 * side * height), height), _around(x, int(0.5 * side * width), width))
        for (y, x), side in zip(centres, sides, strict=True)
    ]


def draw_spans(parts: Sequence[float], frames: int, generator: Generator) -> list[Span]:
    """Consecutive frames, the nearest whole number to a part of all, from a random one on."""
    draws = torch.rand(len(parts), generator=generator, dtype=torch.float64).tolist()
    lengths = [round(part * frames) for part in parts]
    starts = [int(draw * (frames - length + 1)) for draw, length in zip(draws, lengths, strict=True)]
    return [(start, start + length) for start, length in zip(starts, lengths, strict=True)]


def _around(centre: int, half: int, size: int) -> Span:
    return max(centre - half, 0), min(centre + half, size)
