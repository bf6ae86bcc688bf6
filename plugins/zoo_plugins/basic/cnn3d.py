"""The 3-D twin of the textbook's picture classifier."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from zoo_plugins.chain import Chain
from zoo_registry import Provided, Range
from zoo_registry.protocols import Stage


class CNN3D(Chain):
    """3-D convolution 32, pool, 3-D convolution 64, pool, fully connected 128, out.

    The first convolution steps by two pixels, which quarters the work; the last pooling leaves a 4x4 grid, because
    a turn to the left and one to the right differ only in *where* the picture moves up and where down. Any clip of
    at least 2x2 pixels and one frame fits.

    Args:
        num_classes: K.
        dropout: probability before the last layer.
        in_channels: C of the clip.

    Example:
        >>> import torch
        >>> CNN3D(6).eval()(torch.zeros(2, 3, 16, 32, 32)).shape
        torch.Size([2, 6])
    """

    def __init__(self, num_classes: int, dropout: float = 0.0, in_channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(in_channels, 32, 3, stride=(1, 2, 2), padding=1, bias=False), nn.BatchNorm3d(32), nn.ReLU(),
            nn.MaxPool3d(2, ceil_mode=True),  # so that a single frame survives
            nn.Conv3d(32, 64, 3, padding=1, bias=False), nn.BatchNorm3d(64), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 4 * 4, 128), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(128, num_classes),
        )  # fmt: skip

    def stages(self) -> list[Stage]:
        """stem, stage1, head."""
        stem = tuple(f"features.{index}" for index in range(4))
        return [
            Stage("stem", (stem,), channels=32, stride=(2, 4, 4)),
            Stage("stage1", (("features.4", "features.5", "features.6"),), channels=64, stride=(2, 4, 4)),
            Stage("head", (("classifier",),)),
        ]

    def forward_head(self, features: Tensor) -> Tensor:
        """The last map (B, 64, T', H', W') to logits (B, K)."""
        # Time first, then space: one adaptive 3-D pooling would say the same, but cannot be exported to ONNX.
        logits_bk: Tensor = self.classifier(features.mean(2))
        return logits_bk


def cnn3d(
    *,
    num_classes: Provided[int],
    dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    in_channels: Annotated[int, Range(ge=1)] = 3,
) -> CNN3D:
    """Two 3-D convolutions with batch norm and two fully connected layers.

    Args:
        num_classes: K, the width of the last layer.
        dropout: probability before the last layer.
        in_channels: C of the clip.

    Returns:
        A module from clips (B, C, T, H, W) of any length and size to logits (B, K).
    """
    return CNN3D(num_classes, dropout, in_channels)
