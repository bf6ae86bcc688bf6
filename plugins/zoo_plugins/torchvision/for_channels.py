from __future__ import annotations

from torch import nn


def for_channels(convolution: nn.Conv3d, in_channels: int) -> nn.Conv3d:
    """A first convolution for clips of `in_channels`; the same one where it already is, else fresh and random."""
    if convolution.in_channels == in_channels:
        return convolution
    return nn.Conv3d(
        in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        convolution.padding,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
