"""Bottleneck blocks and the stages they form, shared by the ResNets, SlowFast and X3D."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn import functional as F

from zoo_plugins.checkpointing import checkpointed
from zoo_plugins.video.convolution import Size3, convolution
from zoo_plugins.video.drop_path import DropPath


class Bottleneck(nn.Module):
    """A residual block: narrow (`conv_a`), look around (`conv_b`), widen (`conv_c`), add to the shortcut.

    Args:
        in_channels, out_channels: of the block.
        conv_b: a convolution of equal width, dense, factorised or depthwise.
        inner_channels: that width.
        temporal_kernel: frames that `conv_a` sees.
        stride: (T, H, W) of `conv_b`, for the shortcut to follow.
        excite: squeeze-and-excitation after the norm of `conv_b`.
        act_b: activation after it.
        norm_shortcut: whether a norm follows the shortcut's convolution.
        drop_path: probability of leaving out the block in training, sample by sample.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        conv_b: nn.Module,
        inner_channels: int,
        temporal_kernel: int = 1,
        stride: Size3 = (1, 1, 1),
        excite: nn.Module | None = None,
        act_b: nn.Module | None = None,
        norm_shortcut: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        changes = in_channels != out_channels or max(stride) > 1
        self.shortcut_conv = convolution(in_channels, out_channels, stride=stride) if changes else nn.Identity()
        self.shortcut_norm = nn.BatchNorm3d(out_channels) if changes and norm_shortcut else nn.Identity()
        self.conv_a = convolution(in_channels, inner_channels, (temporal_kernel, 1, 1))
        self.norm_a = nn.BatchNorm3d(inner_channels)
        self.act_a = nn.ReLU(inplace=True)
        self.conv_b = conv_b
        self.norm_b = nn.BatchNorm3d(inner_channels)
        self.excite = excite or nn.Identity()
        self.act_b = act_b or nn.ReLU(inplace=True)
        self.conv_c = convolution(inner_channels, out_channels)
        self.norm_c = nn.BatchNorm3d(out_channels)
        self.drop_path = DropPath(drop_path)
        self.act = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, D, T', H', W')."""
        branch = self.act_a(self.norm_a(self.conv_a(features)))
        branch = self.act_b(self.excite(self.norm_b(self.conv_b(branch))))
        branch = self.drop_path(self.norm_c(self.conv_c(branch)))
        branch += self.shortcut_norm(self.shortcut_conv(features))
        output: Tensor = self.act(branch)
        return output


class ResidualStage(nn.Sequential):
    """Bottleneck blocks in a row.

    Args:
        blocks: in order.
        temporal_pool: frames of which the maximum enters the first block.
    """

    grad_checkpointing = False

    def __init__(self, blocks: Iterable[Bottleneck], temporal_pool: int = 1) -> None:
        super().__init__(*blocks)
        self.temporal_pool = temporal_pool

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, D, T', H', W')."""
        if self.temporal_pool > 1:
            features = F.max_pool3d(features, (self.temporal_pool, 1, 1))
        for block in self:
            if self.grad_checkpointing and self.training:
                features = checkpointed(block, features, parts=(block,))
            else:
                features = block(features)
        return features


def set_grad_checkpointing(network: nn.Module, enable: bool) -> None:
    """In training keep only what enters each residual block of a network."""
    for module in network.modules():
        if isinstance(module, ResidualStage):
            module.grad_checkpointing = enable
