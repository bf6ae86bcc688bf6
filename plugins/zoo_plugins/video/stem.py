from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from zoo_plugins.video.convolution import DepthwiseConv3d, Size3, convolution


class Stem(nn.Module):
    """The first layer: convolution, norm, ReLU, and perhaps pooling.

    Args:
        conv: (B, C, T, H, W) to (B, D, T, H/2, W/2).
        channels: D.
        pool: whether a 1x3x3 maximum halves height and width once more.
    """

    def __init__(self, conv: nn.Module, channels: int, *, pool: bool) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm3d(channels)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)) if pool else nn.Identity()

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, D, T, H', W'), a quarter of the size with pooling and half without."""
        features: Tensor = self.pool(self.act(self.norm(self.conv(clip_bcthw))))
        return features


def dense_stem(in_channels: int, channels: int, kernel: Size3, *, pool: bool = True) -> Stem:
    """The stem of the ResNets: one convolution, usually 7x7 in space."""
    return Stem(convolution(in_channels, channels, kernel, (1, 2, 2)), channels, pool=pool)


def separable_stem(in_channels: int, channels: int, kernel: Size3 = (5, 3, 3)) -> Stem:
    """The stem of X3D: a convolution in space, then one in time, channel by channel."""
    time, height, width = kernel
    spatial = convolution(in_channels, channels, (1, height, width), (1, 2, 2))
    conv = nn.Sequential(OrderedDict(spatial=spatial, temporal=DepthwiseConv3d(channels, (time, 1, 1))))
    return Stem(conv, channels, pool=False)
