"""What erased pixels show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from zoo_plugins.augment.ranges import Fill
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError

Value = Fill | Literal["mean", "random"]
"""A grey, a colour, the mean that the model's preprocessing takes away, or noise around it; levels are 0..255, also
for clips of floats."""


@dataclass(frozen=True)
class Filling:
    """A colour, with or without noise on it.

    Attributes:
        colour: R, G, B in 0..1.
        noise: standard deviation of R, G, B in 0..1; None for none.
    """

    colour: tuple[float, ...]
    noise: tuple[float, ...] | None = None

    def pixels(self, shape: Sequence[int], like: Tensor, generator: Generator) -> Tensor:
        """What to write into erased pixels.

        Args:
            shape: (..., C, T, H, W), or anything that ends so, to which the result can be broadcast.
            like: the clip: its device, its type, and so its range, 0..255 for bytes and 0..1 for floats.
            generator: noise is drawn from it, pixel by pixel, on the CPU.

        Returns:
            of the clip's type; (C, 1, 1, 1) without noise, `shape` with it.
        """
        colour = torch.tensor(self.colour).view(-1, 1, 1, 1)
        if self.noise is not None:
            drawn = torch.randn(*shape, generator=generator)
            colour = drawn.mul_(torch.tensor(self.noise).view(-1, 1, 1, 1)).add_(colour).clamp_(0, 1)
        if not like.is_floating_point():
            colour = (colour * 255).round_()
        return colour.to(like.dtype).to(like.device, non_blocking=True)


def filling(value: Value, clip: ClipSpec | None) -> Filling:
    """What a recipe's `value` means.

    Args:
        value: see `Value`.
        clip: the clip spec in force; its mean and std are those of `mean` and `random`.

    Raises:
        ParameterError: `mean` or `random` without a clip spec.
    """
    if isinstance(value, str):
        if clip is None:
            raise ParameterError(f"value: {value} needs a model that takes clips", hint="write a number from 0 to 255")
        return Filling(clip.mean, clip.std if value == "random" else None)
    colour = value if isinstance(value, list | tuple) else (value,) * 3
    return Filling(tuple(level / 255 for level in colour))
