"""The plain picture classifier of the textbook."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from zoo_plugins.chain import Chain
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Stage


class CNN2D(Chain):
    """Convolution 32, pool, convolution 64, pool, fully connected 128, out.

    Args:
        num_classes: K.
        height_width: of the picture; the fully connected layer is made for it.
        dropout: probability before the last layer.
        in_channels: C of the picture.

    Example:
        >>> import torch
        >>> CNN2D(10, (32, 32))(torch.zeros(2, 3, 1, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self, num_classes: int, height_width: tuple[int, int], dropout: float = 0.0, in_channels: int = 3
    ) -> None:
        super().__init__()
        height, width = height_width
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * (height // 4) * (width // 4), 128), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(128, num_classes),
        )  # fmt: skip

    def stages(self) -> list[Stage]:
        """stem, stage1, head."""
        return [
            Stage("stem", (("features.0", "features.1", "features.2"),), channels=32, stride=(1, 2, 2)),
            Stage("stage1", (("features.3", "features.4", "features.5"),), channels=64, stride=(1, 4, 4)),
            Stage("head", (("classifier",),)),
        ]

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """One-frame clips (B, C, 1, H, W) to the last map (B, 64, 1, H / 4, W / 4)."""
        return super().forward_features(clip_bcthw.squeeze(2))

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """One-frame clips (B, C, 1, H, W) to the map of every stage."""
        return super().forward_pyramid(clip_bcthw.squeeze(2))

    def as_map(self, layer_output: Tensor) -> Tensor:
        """With an axis for time."""
        return layer_output.unsqueeze(2)

    def forward_head(self, features: Tensor) -> Tensor:
        """The last map to logits (B, K)."""
        logits_bk: Tensor = self.classifier(features.squeeze(2))
        return logits_bk


def cnn2d(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    in_channels: Annotated[int, Range(ge=1)] = 3,
) -> CNN2D:
    """Two convolutions and two fully connected layers for one-frame clips.

    Args:
        num_classes: K, the width of the last layer.
        clip: the clip spec in force; one frame, 32x32 when absent.
        dropout: probability before the last layer.
        in_channels: C of the clip.

    Returns:
        A module from clips (B, C, 1, H, W) to logits (B, K).

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
    return CNN2D(num_classes, height_width, dropout, in_channels)
