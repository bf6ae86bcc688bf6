"""From the last feature map to logits."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from zoo_plugins.video.convolution import Size3, convolution


class PooledHead(nn.Module):
    """Means over windows, a linear layer on each, and the mean of its answers (fully convolutional inference).

    Args:
        channels: C.
        num_classes: K.
        window: (T, H, W) of the training clips' feature map. Larger maps have several windows, one cell apart; smaller
            ones are averaged as they are.
        dropout: probability before the linear layer.
    """

    def __init__(self, channels: int, num_classes: int, *, window: Size3, dropout: float) -> None:
        super().__init__()
        self.window = window
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T, H, W) to logits (B, K)."""
        return mean_answer(self.linear, self.dropout(window_means(features, self.window)))


class ProjectedHead(nn.Module):
    """X3D's head: a convolution before pooling, and a wide one after it.

    Args:
        channels: C.
        inner_channels: width before pooling.
        outer_channels: width after it.
        num_classes, window, dropout: as in `PooledHead`.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        inner_channels: int,
        outer_channels: int,
        window: Size3,
        dropout: float,
    ) -> None:
        super().__init__()
        self.window = window
        self.pre_conv = convolution(channels, inner_channels)
        self.pre_norm = nn.BatchNorm3d(inner_channels)
        self.pre_act = nn.ReLU(inplace=True)
        self.post_conv = convolution(inner_channels, outer_channels)
        self.post_act = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(outer_channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T, H, W) to logits (B, K)."""
        means = window_means(self.pre_act(self.pre_norm(self.pre_conv(features))), self.window)
        return mean_answer(self.linear, self.dropout(self.post_act(self.post_conv(means))))


def window_means(features: Tensor, window: Size3) -> Tensor:
    """Means (B, C, t, h, w) of all windows of a map (B, C, T, H, W), which are cut to its size."""
    size = tuple(features.shape[2:])
    fitting = tuple(map(min, window, size))
    return features.mean((2, 3, 4), keepdim=True) if fitting == size else F.avg_pool3d(features, fitting, 1)


def mean_answer(linear: nn.Module, windows: Tensor) -> Tensor:
    """What a linear layer says about windows (B, C, t, h, w), averaged: (B, K)."""
    logits_bk: Tensor = linear(windows.flatten(2).transpose(1, 2)).mean(1)
    return logits_bk
