"""What a clip spec wants done to pixels, as part of a network: for files that take films as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.data.preprocess import Preprocess
from zoo_registry.errors import ExportError

if TYPE_CHECKING:
    from zoo_registry.entries import ClipSpec

_CUBIC = -0.5
"""The `a` of the cubic filter (Keys 1981), as in Pillow and torch's antialiased interpolation."""


class Preparing(nn.Module):
    """A network that takes uint8 clips of any height and width, and resizes, crops and normalises them itself.

    Resizing and cropping are one product of matrices: each row of the window is a weighted mean of rows of the frame,
    each column likewise. So every format that multiplies matrices can do it, for frames of any size, and nothing
    outside of the window is computed.

    Args:
        network: takes normalised clips.
        clip: what it wants.
        position: which of its inputs is the clip; the others pass.

    Raises:
        ExportError: the clip spec resizes to less than it crops.

    Example:
        >>> from zoo_registry import ClipSpec
        >>> spec = ClipSpec(frames=2, size=(4, 6), mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> clip_bcthw = torch.full((1, 3, 2, 20, 30), 255, dtype=torch.uint8)
        >>> tuple(Preparing(nn.Identity(), spec)(clip_bcthw).shape)
        (1, 3, 2, 4, 6)
    """

    def __init__(self, network: nn.Module, clip: ClipSpec, position: int = 0) -> None:
        super().__init__()
        self.preparation = Preparation(clip)
        self.network = network
        self.position = position

    def forward(self, *inputs: Tensor) -> Any:
        """What the network answers to the prepared clip."""
        prepared = list(inputs)
        prepared[self.position] = self.preparation(inputs[self.position])
        return self.network(*prepared)


class Preparation(nn.Module):
    """From uint8 (B, C, T, H, W), with any H and W, to what a model takes."""

    keeps_float = True
    """Exporters round nothing in here: grey levels and places between pixels need all their bits."""

    scale: Tensor
    shift: Tensor
    luma: Tensor

    def __init__(self, clip: ClipSpec) -> None:
        super().__init__()
        if isinstance(clip.resize, int) and not clip.native and clip.resize < min(clip.height_width):
            raise ExportError(
                f"the clip spec resizes to {clip.resize} pixels and then crops {clip.size_in_words}",
                hint="let `resize` be at least `size` (data.clip in the recipe)",
            )
        self.clip = clip
        ordinary = Preprocess(clip)
        self.register_buffer("scale", ordinary.scale / 255, persistent=False)
        self.register_buffer("shift", ordinary.shift, persistent=False)
        self.register_buffer("luma", ordinary.luma, persistent=False)

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """See the class."""
        floating = clip_bcthw.float()
        if not self.clip.native:
            rows, columns = self._weights(clip_bcthw)
            floating = torch.matmul(rows, torch.matmul(floating, columns.T)).clamp(0, 255)
        if self.scale.shape[0] == 1 and clip_bcthw.shape[1] == 3:
            floating = (floating * self.luma).sum(1, keepdim=True)
        return floating * self.scale + self.shift

    def _weights(self, clip_bcthw: Tensor) -> tuple[Tensor, Tensor]:
        """What each row and each column of the window takes of the frame's: (h, H) and (w, W)."""
        height, width = (
            torch.scalar_tensor(side, dtype=torch.int64, device=clip_bcthw.device) for side in clip_bcthw.shape[-2:]
        )
        scaled = self._scaled(height, width)
        window = self.clip.height_width
        return tuple(
            resampling(
                torch.arange(length, device=clip_bcthw.device), length_after, _half(length_after - size), size,
                self.clip.interpolation,
            )
            for length, length_after, size in zip(clip_bcthw.shape[-2:], scaled, window, strict=True)
        )  # type: ignore[return-value]  # fmt: skip

    def _scaled(self, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Height and width of the whole frame after scaling, as `zoo.data.clips.placement` reckons them."""
        resize, (rows, columns) = self.clip.resize, self.clip.height_width
        if isinstance(resize, str):
            return height, width
        if isinstance(resize, tuple | list):
            return torch.full_like(height, resize[0]), torch.full_like(width, resize[1])
        if isinstance(resize, int):
            short = torch.full_like(height, resize)
            long = torch.div(torch.maximum(height, width) * resize, torch.minimum(height, width), rounding_mode="floor")
            lying = height <= width
            return torch.where(lying, short, long), torch.where(lying, long, short)
        by_height = rows * width >= columns * height  # the frame's height is what just covers the window
        covering_height = torch.full_like(height, rows), _divided(width * rows, height)
        covering_width = _divided(height * columns, width), torch.full_like(width, columns)
        tall, wide = (
            torch.where(by_height, one, other) for one, other in zip(covering_height, covering_width, strict=True)
        )
        return tall.clamp(min=rows), wide.clamp(min=columns)


def resampling(places: Tensor, scaled: Tensor, first: Tensor, count: int, interpolation: str) -> Tensor:
    """Weights that resize a line of pixels and keep a part of it; averaging where it becomes shorter.

    Args:
        places: 0, 1, 2, ... of the line as it is, (N,).
        scaled: its length after resizing.
        first: the first pixel of the part, of the resized line.
        count: pixels of the part, n.
        interpolation: `bilinear`, `bicubic`, `area` or `nearest`.

    Returns:
        (n, N) float32, every row adds up to 1.

    Example:
        >>> resampling(torch.arange(4), torch.tensor(2), torch.tensor(0), 2, "area").tolist()
        [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    length = torch.scalar_tensor(places.shape[0], dtype=torch.float32, device=places.device)
    step = length / scaled.float()
    target = torch.arange(count, device=places.device) + first
    centres = ((target.float() + 0.5) * step).unsqueeze(1)
    weights = _FILTERS[interpolation](centres, places.float().unsqueeze(0) + 0.5, step)
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-6)


def _bilinear(centres: Tensor, places: Tensor, step: Tensor) -> Tensor:
    return (1 - (places - centres).abs() / step.clamp(min=1)).clamp(min=0)


def _bicubic(centres: Tensor, places: Tensor, step: Tensor) -> Tensor:
    x = (places - centres).abs() / step.clamp(min=1)
    near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
    far = ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _area(centres: Tensor, places: Tensor, step: Tensor) -> Tensor:
    """How much of each pixel lies under the new one."""
    end = torch.minimum(places + 0.5, centres + step / 2)
    return (end - torch.maximum(places - 0.5, centres - step / 2)).clamp(min=0)


def _nearest(centres: Tensor, places: Tensor, step: Tensor) -> Tensor:
    return (centres.floor() + 0.5 == places).float()


_FILTERS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "bilinear": _bilinear,
    "bicubic": _bicubic,
    "area": _area,
    "nearest": _nearest,
}


def _divided(number: Tensor, by: Tensor) -> Tensor:
    """Whole numbers divided and rounded, halves to the even one, like Python's `round`."""
    doubled = 2 * number + by
    quotient = torch.div(doubled, 2 * by, rounding_mode="floor")
    exactly_half = (doubled - quotient * 2 * by) == 0
    odd = quotient - 2 * torch.div(quotient, 2, rounding_mode="floor")
    return quotient - torch.where(exactly_half, odd, torch.zeros_like(odd))


def _half(number: Tensor) -> Tensor:
    return _divided(number, torch.full_like(number, 2))
