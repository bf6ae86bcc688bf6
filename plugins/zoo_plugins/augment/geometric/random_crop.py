"""A window at a random place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator

from zoo_plugins.augment.geometric.stage import Border, PaddingMode, Stage, shifts, whole
from zoo_plugins.augment.geometric.warp import Warp
from zoo_plugins.augment.ranges import Fill, MaskFill
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment


@dataclass(frozen=True)
class RandomCrop:
    """See `random_crop`."""

    size: tuple[int, int]
    padding: int
    border: Border

    def __call__(self, count: int, height_width: tuple[int, int], generator: Generator) -> Stage:
        """Every sample cut to a window of its own."""
        room = [there + 2 * self.padding - wanted for there, wanted in zip(height_width, self.size, strict=True)]
        if min(room) < 0:
            raise ParameterError(
                f"random_crop cannot cut {self.size[0]}x{self.size[1]} from clips of "
                f"{height_width[0]}x{height_width[1]}" + (f" and {self.padding} more around" if self.padding else ""),
                hint="set data.clip.resize to at least the size, or give random_crop a padding",
            )
        draws_b2 = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        top_b, left_b = ((draws_b2 * (draws_b2.new_tensor(room) + 1)).floor() - self.padding).unbind(1)
        return Stage(shifts(left_b, top_b), whole(count, height_width), self.size, self.border)


def random_crop(
    *,
    clip: Provided[ClipSpec],
    padding: Annotated[int, Range(ge=0)] = 0,
    fill: Fill = 0.0,
    padding_mode: PaddingMode = "constant",
    mask_fill: MaskFill = 0,
) -> Augment:
    """Cut a window of the clip's size at a random place of the canvas.

    Room to move comes from `data.clip.resize` (the canvas is larger than the size then) or from a padding. A target
    clip is cut at the same place, boxes are moved and clipped.

    Args:
        clip: the clip spec in force; its size is the window's.
        padding: pixels added on every side first.
        fill: what they are in mode constant, 0..255, one value or one a channel.
        padding_mode: constant, edge, reflect or symmetric; see `zoo_plugins.augment.geometric.stage.Border`.
        mask_fill: the class that masks get there in mode constant.

    Raises:
        ParameterError: when used on clips that are smaller than the window.
    """
    return Warp((RandomCrop(clip.height_width, padding, Border(padding_mode, fill, mask_fill)),), None)
