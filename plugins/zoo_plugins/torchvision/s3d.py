"""Separable 3-D Inception (Xie et al. 2018, https://arxiv.org/abs/1712.04851)."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional
from torchvision.models.video import S3D

from zoo_plugins.chain import Chain
from zoo_plugins.clip_limits import check_clip, check_clip_spec
from zoo_plugins.torchvision.for_channels import for_channels
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Stage

_FRAMES, _SIZE = 5, 17
"""Of the smallest clip that leaves a cell after the last pooling."""

_WINDOW = (2, 7, 7)
"""(T, H, W) of the average that slides over the last map."""

_STAGES = (
    Stage("stem", (("features.0", "features.1"),), channels=64, stride=(2, 4, 4)),
    Stage("stage1", (("features.2",), ("features.3",)), channels=192, stride=(2, 4, 4)),
    Stage("stage2", (("features.4", "features.5"), ("features.6",)), channels=480, stride=(2, 8, 8)),
    Stage(
        "stage3",
        (("features.7", "features.8"), ("features.9",), ("features.10",), ("features.11",), ("features.12",)),
        channels=832,
        stride=(4, 16, 16),
    ),
    Stage("stage4", (("features.13", "features.14"), ("features.15",)), channels=1024, stride=(8, 32, 32)),
    Stage("head", (("classifier",),)),
)


class StagedS3D(Chain, S3D):
    """torchvision's `S3D` with stages; parameters and their names are torchvision's.

    Where the last map is smaller than the window of the last pooling, the window is as large as the map.

    Args:
        num_classes: K.
        in_channels: of the clip.
        dropout: probability before the last layer.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, dropout: float = 0.2) -> None:
        S3D.__init__(self, num_classes=num_classes, dropout=dropout)
        first = self.features[0][0]
        first[0] = for_channels(first[0], in_channels)

    def stages(self) -> tuple[Stage, ...]:
        """stem, stage1 to stage4, head; a stage begins with the pooling before it."""
        return _STAGES

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to the last map (B, 1024, T', H', W').

        Raises:
            ParameterError: nothing is left of so short or small a clip.
        """
        check_clip("s3d", clip_bcthw, frames=_FRAMES, size=_SIZE)
        return super().forward_features(clip_bcthw)

    def forward_head(self, features: Tensor) -> Tensor:
        """From the last map (B, 1024, T', H', W') to logits (B, K)."""
        window = [min(size, most) for size, most in zip(features.shape[2:], _WINDOW, strict=True)]
        logits_bk: Tensor = self.classifier(functional.avg_pool3d(features, window, stride=1)).mean(dim=(2, 3, 4))
        return logits_bk


def s3d(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    dropout: Annotated[float, Range(ge=0, lt=1)] = 0.2,
) -> StagedS3D:
    """Separable 3-D Inception.

    Its last pooling slides a window of 2x7x7 cells over the last map; for a clip that leaves a smaller map the window
    is as large as the map.

    Args:
        num_classes: K.
        clip: the clip spec in force; at least 5 frames of 17x17.
        in_channels: of the clip.
        dropout: probability before the last layer.

    Returns:
        A module from normalised clips (B, C, T, H, W) to logits (B, K).

    Raises:
        ParameterError: the clip is so short or small that nothing is left of it.
    """
    check_clip_spec("s3d", clip, frames=_FRAMES, size=_SIZE)
    return StagedS3D(num_classes, in_channels, dropout)
