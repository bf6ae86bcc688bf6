"""Convolutions over clips (B, C, T, H, W): odd kernels, padded so that stride 1 keeps the size, without bias."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from zoo_plugins.video.cpu_convolution import Size3, convolve

__all__ = ["Size3", "convolution", "on_cpu_in", "temporal_then_spatial"]


class ClipConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` that on CPUs takes the fastest kernels; elsewhere, and in exported graphs, it is just that."""

    computes_like = nn.Conv3d
    """What may stand for it, for those who put other layers in the place of convolutions."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, D, T', H', W')."""
        if not _on_cpu(input):
            return super().forward(input)
        return convolve(input, self.weight, self.bias, self.stride, self.groups)


def convolution(
    in_channels: int, out_channels: int, kernel: Size3 = (1, 1, 1), stride: Size3 = (1, 1, 1), *, groups: int = 1
) -> nn.Conv3d:
    """A convolution with half the kernel as padding; as many groups as channels make it depthwise."""
    time, height, width = kernel
    padding = (time // 2, height // 2, width // 2)
    return ClipConv3d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)


def temporal_then_spatial(channels: int, stride: Size3) -> nn.Sequential:
    """3x3x3 as 3x1x1 and 1x3x3 with norm and ReLU between them (Tran et al. 2018, R(2+1)D), equally wide."""
    time, height, width = stride
    return nn.Sequential(
        OrderedDict(
            temporal=convolution(channels, channels, (3, 1, 1), (time, 1, 1)),
            norm=nn.BatchNorm3d(channels),
            act=nn.ReLU(inplace=True),
            spatial=convolution(channels, channels, (1, 3, 3), (1, height, width)),
        )
    )


def on_cpu_in(memory_format: torch.memory_format, features: Tensor) -> Tensor:
    """Features in the memory format that their next layers are fastest in on a CPU; elsewhere as they are."""
    return features.contiguous(memory_format=memory_format) if _on_cpu(features) else features


def _on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and not torch.compiler.is_exporting()
