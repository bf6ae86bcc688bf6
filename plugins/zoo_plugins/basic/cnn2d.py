"""The plain picture classifier of the textbook."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError


class CNN2D(nn.Module):
    """Convolution 32, pool, convolution 64, pool, fully connected 128, out.

    Args:
        num_classes: K.
        height_width: of the picture; the fully connected layer is made for it.
        dropout: probability before the last layer.

    Example:
        >>> import torch
        >>> CNN2D(10, (32, 32))(torch.zeros(2, 3, 1, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int, height_width: tuple[int, int], dropout: float = 0.0) -> None:
        super().__init__()
        height, width = height_width
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * (height // 4) * (width // 4), 128), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(128, num_classes),
        )  # fmt: skip

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """One-frame clips (B, 3, 1, H, W) to logits (B, K)."""
        logits_bk: Tensor = self.classifier(self.features(clip_bcthw.squeeze(2)))
        return logits_bk


def cnn2d(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0,
) -> CNN2D:
    """Two convolutions and two fully connected layers for one-frame clips.

    Args:
        num_classes: K, the width of the last layer.
        clip: the clip spec in force; one frame, 32x32 when absent.
        dropout: probability before the last layer.

    Returns:
        A module from clips (B, 3, 1, H, W) to logits (B, K).

    Raises:
        ParameterError: the clip has more than one frame, or is smaller than 4x4.
    """
    if clip is not None and clip.frames != 1:
        raise ParameterError(
            f"cnn2d looks at one frame, the clip has {clip.frames}",
            hint="set data.clip.frames to 1, or take basic/cnn3d, which sees motion",
        )
    height_width = (32, 32) if clip is None else clip.height_width
    if min(height_width) < 4:
        raise ParameterError(f"cnn2d halves the picture twice, {height_width} is too small", hint="at least 4x4")
    return CNN2D(num_classes, height_width, dropout)
