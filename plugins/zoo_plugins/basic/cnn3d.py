"""The 3-D twin of the textbook's picture classifier."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from zoo_registry import Provided, Range


class CNN3D(nn.Module):
    """3-D convolution 32, pool, 3-D convolution 64, pool, fully connected 128, out.

    The first convolution steps by two pixels, which quarters the work; the last pooling leaves a 4x4 grid, because
    a turn to the left and one to the right differ only in *where* the picture moves up and where down. Any clip of
    at least 2x2 pixels and one frame fits.

    Args:
        num_classes: K.
        dropout: probability before the last layer.

    Example:
        >>> import torch
        >>> CNN3D(6).eval()(torch.zeros(2, 3, 16, 32, 32)).shape
        torch.Size([2, 6])
    """

    def __init__(self, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(3, 32, 3, stride=(1, 2, 2), padding=1, bias=False), nn.BatchNorm3d(32), nn.ReLU(),
            nn.MaxPool3d(2, ceil_mode=True),  # so that a single frame survives
            nn.Conv3d(32, 64, 3, padding=1, bias=False), nn.BatchNorm3d(64), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 4 * 4, 128), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(128, num_classes),
        )  # fmt: skip

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, 3, T, H, W) to logits (B, K)."""
        # Time first, then space: one adaptive 3-D pooling would say the same, but cannot be exported to ONNX.
        logits_bk: Tensor = self.classifier(self.features(clip_bcthw).mean(2))
        return logits_bk


def cnn3d(*, num_classes: Provided[int], dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0) -> CNN3D:
    """Two 3-D convolutions with batch norm and two fully connected layers.

    Args:
        num_classes: K, the width of the last layer.
        dropout: probability before the last layer.

    Returns:
        A module from clips (B, 3, T, H, W) of any length and size to logits (B, K).
    """
    return CNN3D(num_classes, dropout)
