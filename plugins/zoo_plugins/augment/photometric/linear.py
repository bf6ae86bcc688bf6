"""Colour changes that are linear in a pixel and its grey: any number of them is one 3x4 colour matrix a frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_plugins.augment.photometric.passes import in_one_pass, per_sample, top_of

LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601 with torchvision's digits
_LUMA_SUM = sum(LUMA)  # 0.9999: the grey of white is a little less than white


@dataclass(frozen=True)
class Linear:
    """Each colour c of a pixel becomes  own * c + grey * g + mean * m + white * top,  one set of weights a sample.

    g is the grey of the pixel and m the mean grey of its frame, both before the change; top is the value of white.

    Attributes:
        own, grey, mean, white: (B,) float64, on the CPU where they were drawn.
    """

    own: Tensor
    grey: Tensor
    mean: Tensor
    white: Tensor

    @classmethod
    def unchanged(cls, count: int, device: torch.device | str = "cpu") -> Linear:
        """What leaves `count` samples as they are."""
        zero = torch.zeros(count, dtype=torch.float64, device=device)
        return cls(zero + 1, zero, zero, zero)

    def then_brightness(self, factor_b: Tensor) -> Linear:
        """Followed by `factor * c`."""
        factor = factor_b.to(self.own.dtype)
        return Linear(factor * self.own, factor * self.grey, factor * self.mean, factor * self.white)

    def then_contrast(self, factor_b: Tensor) -> Linear:
        """Followed by `factor * c + (1 - factor) * m`."""
        factor = factor_b.to(self.own.dtype)
        mean_of_frame = self.own + _LUMA_SUM * (self.grey + self.mean)
        return Linear(
            factor * self.own,
            factor * self.grey,
            factor * self.mean + (1 - factor) * mean_of_frame,
            factor * self.white + (1 - factor) * _LUMA_SUM * self.white,
        )

    def then_saturation(self, factor_b: Tensor) -> Linear:
        """Followed by `factor * c + (1 - factor) * g`."""
        factor = factor_b.to(self.own.dtype)
        rest = 1 - factor
        return Linear(
            factor * self.own,
            factor * self.grey + rest * (self.own + _LUMA_SUM * self.grey),
            factor * self.mean + rest * _LUMA_SUM * self.mean,
            factor * self.white + rest * _LUMA_SUM * self.white,
        )

    def then_invert(self, chosen_b: Tensor) -> Linear:
        """Followed by `top - c` where chosen is 1, by nothing where it is 0."""
        chosen = chosen_b.to(self.own.dtype)
        sign = 1 - 2 * chosen
        return Linear(sign * self.own, sign * self.grey, sign * self.mean, sign * self.white + chosen)

    def apply(self, values_bcthw: Tensor, rows: slice, top: float) -> Tensor:
        """The changed values, not cut off.

        Args:
            values_bcthw: floats, overwritten.
            rows: which samples they are.
            top: value of white.
        """
        own, grey, mean, white = (weight[rows] for weight in (self.own, self.grey, self.mean, self.white))
        if _used(grey, mean):
            added = grey_of(values_bcthw)
            offset = per_sample(white * top, values_bcthw)
            if _used(mean):
                offset = offset + added.mean((-2, -1), keepdim=True).mul_(per_sample(mean, values_bcthw))
            added = added.mul_(per_sample(grey, values_bcthw)).add_(offset)
            return values_bcthw.mul_(per_sample(own, values_bcthw)).add_(added)
        if _used(own - 1):
            values_bcthw.mul_(per_sample(own, values_bcthw))
        return values_bcthw.add_(per_sample(white * top, values_bcthw)) if _used(white) else values_bcthw

    def __call__(self, clip_bcthw: Tensor) -> Tensor:
        """A clip of bytes or floats, changed and cut off at black and white."""
        top = top_of(clip_bcthw)
        return in_one_pass(clip_bcthw, lambda values, rows: self.apply(values, rows, top))


def grey_of(values_bcthw: Tensor) -> Tensor:
    """Grey of every pixel (b, 1, t, H, W), new memory."""
    red, green, blue = (values_bcthw.narrow(1, channel, 1) for channel in range(3))
    return red.mul(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _used(*weights: Tensor) -> bool:
    """Whether any is not zero, as far as that can be known without waiting for a device."""
    return any(weight.device.type != "cpu" or bool(weight.any()) for weight in weights)
