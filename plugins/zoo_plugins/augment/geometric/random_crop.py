"""A window at a random place."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from zoo_plugins.augment.geometry import CLIP, Window, crop, move
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class RandomCrop:
    """See `random_crop`."""

    size: tuple[int, int]
    padding: int

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with every sample cut to a window of its own."""
        padded = _add_border(batch, self.padding) if self.padding else batch
        clip_bcthw = padded.inputs[CLIP]
        room = [there - wanted for there, wanted in zip(clip_bcthw.shape[-2:], self.size, strict=True)]
        if min(room) < 0:
            raise ParameterError(
                f"random_crop cannot cut {self.size[0]}x{self.size[1]} from clips of "
                f"{clip_bcthw.shape[-2]}x{clip_bcthw.shape[-1]}",
                hint="set data.clip.resize to at least the size, or give random_crop a padding",
            )
        draws = torch.rand(len(clip_bcthw), 2, generator=generator, dtype=torch.float64)
        corners = (draws * (draws.new_tensor(room) + 1)).long().tolist()
        windows = [Window(top, left, *self.size) for top, left in corners]
        return crop(padded, windows, self.size, lambda window_cthw, size: window_cthw)


def _add_border(batch: Batch, padding: int) -> Batch:
    """The batch with black all around."""

    def widen(clip_bcthw: Tensor, scale: Fraction) -> Tensor:
        return pad(clip_bcthw, [round(padding * scale)] * 4)

    return move(batch, widen, lambda row, boxes_n4: boxes_n4 + padding)


def random_crop(*, clip: Provided[ClipSpec], padding: Annotated[int, Range(ge=0)] = 0) -> Augment:
    """Cut a window of the clip's size at a random place of the canvas.

    Room to move comes from `data.clip.resize` (the canvas is larger than the size then) or from a padding. A target
    clip is cut at the same place, boxes are moved and clipped.

    Args:
        clip: the clip spec in force; its size is the window's.
        padding: pixels of black added on every side first.

    Raises:
        ParameterError: when used on clips that are smaller than the window.
    """
    return RandomCrop(clip.height_width, padding)
