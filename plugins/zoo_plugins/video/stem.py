from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from zoo_plugins.video.convolution import Size3, convolution, on_cpu_in


class Stem(nn.Module):
    """The first layer: convolution, norm, ReLU, and perhaps pooling.

    Args:
        conv: (B, C, T, H, W) to (B, D, T, H/2, W/2).
        channels: D.
        pool: whether a 1x3x3 maximum halves height and width once more.
        pool_time: stride of that maximum in frames.
    """

    def __init__(self, conv: nn.Module, channels: int, *, pool: bool, pool_time: int = 1) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm3d(channels)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool3d((1, 3, 3), (pool_time, 2, 2), (0, 1, 1)) if pool else nn.Identity()

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, D, T, H', W'), a quarter of the size with pooling and half without."""
        clip_bcthw = on_cpu_in(torch.channels_last_3d, clip_bcthw)
        features: Tensor = self.pool(self.act(self.norm(self.conv(clip_bcthw))))
        return features


def dense_stem(in_channels: int, channels: int, kernel: Size3, *, pool: bool = True, time_stride: int = 1) -> Stem:
    """The stem of the ResNets: one convolution, usually 7x7 in space; it and the pooling may step over frames."""
    conv = convolution(in_channels, channels, kernel, (time_stride, 2, 2))
    return Stem(conv, channels, pool=pool, pool_time=time_stride)


def separable_stem(in_channels: int, channels: int, kernel: Size3 = (5, 3, 3)) -> Stem:
    """The stem of X3D: a convolution in space, then one in time, channel by channel."""
    time, height, width = kernel
    spatial = convolution(in_channels, channels, (1, height, width), (1, 2, 2))
    temporal = convolution(channels, channels, (time, 1, 1), groups=channels)
    conv = nn.Sequential(OrderedDict(spatial=spatial, temporal=temporal))
    return Stem(conv, channels, pool=False)
