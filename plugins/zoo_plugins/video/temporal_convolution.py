"""Convolutions along time, as parts: residual, dilated, and of several time spans side by side.

All take sequences (B, C, T) or maps (B, C, T, H, W), whose places they treat alike, and keep their shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo_registry.errors import ParameterError


class TemporalConv(nn.Conv3d):
    """A convolution along time, padded with zeros so that the length stays.

    Args:
        channels_in, channels_out: C before and after.
        kernel: frames that it sees, an odd number.
        dilation: frames from one of them to the next.
        groups: as in `torch.nn.Conv3d`.

    Raises:
        ParameterError: an even kernel.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int = 3, *, dilation: int = 1, groups: int = 1
    ) -> None:
        if kernel % 2 == 0:
            raise ParameterError(
                f"a temporal convolution of {kernel} frames has no middle", hint="take an odd number, such as 3 or 5"
            )
        super().__init__(
            channels_in,
            channels_out,
            (kernel, 1, 1),
            padding=(dilation * (kernel // 2), 0, 0),
            dilation=(dilation, 1, 1),
            groups=groups,
        )

    def forward(self, features: Tensor) -> Tensor:
        """Sequences (B, C, T) or maps (B, C, T, H, W) to the same with other channels."""
        if features.ndim == 3:
            return super().forward(features[..., None, None])[..., 0, 0]
        return super().forward(features)


class TemporalResidualBlock(nn.Module):
    """A dilated residual layer: what a dilated and then a pointwise convolution say is added to the input.

    The layer of MS-TCN (Abu Farha and Gall 2019, https://arxiv.org/abs/1903.01945, equations 1 and 2): stacked with
    dilations 1, 2, 4, ..., n layers of three frames see 2 ** (n + 1) - 1.

    Args:
        channels: C.
        kernel: frames of the dilated convolution, an odd number.
        dilation: frames from one of them to the next.
        dropout: probability for every value of the branch.

    Example:
        >>> TemporalResidualBlock(8, dilation=2)(torch.randn(1, 8, 16)).shape
        torch.Size([1, 8, 16])
    """

    def __init__(self, channels: int, kernel: int = 3, *, dilation: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = TemporalConv(channels, channels, kernel, dilation=dilation)
        self.pointwise = TemporalConv(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Sequences (B, C, T) or maps (B, C, T, H, W) to the same."""
        branch: Tensor = self.pointwise(self.conv(features).relu())
        return features + self.dropout(branch)


class MultiScaleTemporalConv(nn.Module):
    """Several time spans side by side: parallel branches of other kernels or dilations, then a pointwise mix.

    After the temporal layer of Timeception (Hussein et al. 2019, https://arxiv.org/abs/1812.01289, section 3.3): each
    branch narrows the channels, convolves every channel by itself along time, and the branches lie side by side in the
    result.

    Args:
        channels: C, a multiple of the number of branches.
        kernels: frames of every branch, odd numbers.
        dilations: of every branch; 1 for all when None.

    Raises:
        ParameterError: as many dilations as kernels are needed, and channels that can be divided among them.

    Example:
        >>> MultiScaleTemporalConv(12, kernels=(3, 5, 7))(torch.randn(1, 12, 16, 4, 4)).shape
        torch.Size([1, 12, 16, 4, 4])
    """

    def __init__(
        self, channels: int, kernels: Sequence[int] = (3, 5, 7), dilations: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        dilations = dilations or [1] * len(kernels)
        if len(dilations) != len(kernels) or not kernels or channels % len(kernels):
            raise ParameterError(
                f"{channels} channels, kernels {list(kernels)} and dilations {list(dilations)} do not go together",
                hint="one dilation a kernel, and channels that are a multiple of their number",
            )
        width = channels // len(kernels)
        self.branches = nn.ModuleList(
            nn.Sequential(
                TemporalConv(channels, width, 1), TemporalConv(width, width, kernel, dilation=dilation, groups=width)
            )
            for kernel, dilation in zip(kernels, dilations, strict=True)
        )
        self.mix = TemporalConv(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Sequences (B, C, T) or maps (B, C, T, H, W) to the same."""
        mixed: Tensor = self.mix(torch.cat([branch(features) for branch in self.branches], 1).relu())
        return mixed
