"""Gaussian blur: a lens out of focus."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo_plugins.augment.photometric.passes import in_one_pass, per_sample
from zoo_plugins.augment.photometric.some_samples import Uniform
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment

Positive = Annotated[float, Range(gt=0, le=1000)]


def gaussian_blur(clip_bcthw: Tensor, sigma_b: Tensor, kernel_size: int) -> Tensor:
    """Blur as `torchvision.transforms.v2.functional.gaussian_blur` does, one direction after the other.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.
        sigma_b: (B,), standard deviation in pixels.
        kernel_size: odd number of pixels that the bell is cut to; the picture is mirrored at its border.

    Raises:
        ParameterError: the kernel reaches further than the picture.
    """
    reach = kernel_size // 2
    if reach >= min(clip_bcthw.shape[-2:]):
        raise ParameterError(
            f"a kernel of {kernel_size} pixels does not fit clips of {clip_bcthw.shape[-2]}x{clip_bcthw.shape[-1]}",
            hint=f"set kernel_size to at most {2 * min(clip_bcthw.shape[-2:]) - 1}",
        )
    place_k = torch.arange(-reach, reach + 1, dtype=torch.float64, device=sigma_b.device)
    weight_bk = torch.softmax(-(place_k**2) / (2 * sigma_b.double().view(-1, 1) ** 2), dim=-1)

    def blur(values: Tensor, rows: slice) -> Tensor:
        padded = pad(values, [reach] * 4 + [0, 0], mode="reflect") if reach else values
        return _weighed(_weighed(padded, weight_bk[rows], -2), weight_bk[rows], -1)

    return in_one_pass(clip_bcthw, blur)


def _weighed(values: Tensor, weight_bk: Tensor, dim: int) -> Tensor:
    """Sums of k neighbours along a dimension; as many additions of whole frames are faster than a convolution."""
    size = values.shape[dim] - weight_bk.shape[1] + 1
    neighbours = [values.narrow(dim, shift, size) for shift in range(weight_bk.shape[1])]
    if weight_bk.device.type == "cpu" and len(weight_bk) == 1:
        weights: list[float] = weight_bk[0].tolist()
        total = neighbours[0] * weights[0]
        for neighbour, weight in zip(neighbours[1:], weights[1:], strict=True):
            total.add_(neighbour, alpha=weight)
        return total
    factors = [per_sample(weight_b, values) for weight_b in weight_bk.unbind(1)]
    total = neighbours[0] * factors[0]
    for neighbour, factor in zip(neighbours[1:], factors[1:], strict=True):
        total.addcmul_(neighbour, factor)
    return total


def random_gaussian_blur(
    *,
    kernel_size: Annotated[int, Range(ge=1)] = 5,
    sigma: tuple[Positive, Positive] = (0.1, 2.0),
    p: Annotated[float, Range(ge=0, le=1)] = 0.5,
) -> Augment:
    """Blur some samples, all their frames alike; target clips stay sharp.

    Args:
        kernel_size: odd number of pixels that the bell is cut to.
        sigma: least and greatest standard deviation in pixels; it is uniform between.
        p: probability for each sample.

    Raises:
        ParameterError: an even kernel, a pair in the wrong order, or a kernel larger than the clips it is used on.
    """
    if kernel_size % 2 == 0:
        raise ParameterError(f"kernel_size is {kernel_size}, and an even kernel has no middle",
                             hint=f"write kernel_size: {kernel_size + 1}")  # fmt: skip
    return Uniform.between("sigma", sigma, partial(gaussian_blur, kernel_size=kernel_size), p)
