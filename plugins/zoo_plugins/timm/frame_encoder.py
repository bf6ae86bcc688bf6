"""An image backbone that looks at every frame, and averages over time."""

from __future__ import annotations

from typing import Annotated, Any

import timm
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError


class FrameEncoder(nn.Module):
    """Frames through a timm backbone, the mean over time through a linear layer.

    `backbone.*` has timm's own parameter names; `head.*` takes the place of timm's classifier, so that a clip of one
    frame gets timm's own logits. The order of frames makes no difference to the result.

    Args:
        backbone: a timm model without classifier: pictures (N, 3, H, W) to features (N, D). The few encoders that do
            not pool, and give tokens (N, L, D) or a map (N, D, h, w), are averaged over these.
        features: D.
        num_classes: K.
        dropout: probability before the last layer.
    """

    def __init__(self, backbone: nn.Module, features: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, num_classes)

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, 3, T, H, W) to logits (B, K)."""
        batch = clip_bcthw.shape[0]
        features = self.backbone(clip_bcthw.transpose(1, 2).flatten(0, 1))
        if features.ndim == 4:
            features = features.flatten(2).transpose(1, 2)
        features_bd = features.reshape(batch, -1, features.shape[-1]).mean(1)
        logits_bk: Tensor = self.head(self.dropout(features_bd))
        return logits_bk


def frame_encoder(
    *,
    architecture: str,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    drop_path: Annotated[float, Range(ge=0, lt=1)] = 0.0,
) -> FrameEncoder:
    """Any timm model as a classifier of clips.

    Args:
        architecture: timm's name of it.
        num_classes: K.
        clip: the clip spec in force. Backbones that are made for one size are made for this one.
        dropout: probability before the last layer.
        drop_path: probability of leaving out a residual branch (stochastic depth), where the backbone has it.

    Raises:
        ParameterError: the backbone cannot take clips of this size, or has no stochastic depth.
    """
    arguments: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    config = get_pretrained_cfg(architecture)
    own_size = tuple(config.input_size[1:]) if config is not None and config.fixed_input_size else None
    if clip is not None and own_size is not None and clip.height_width != own_size:
        arguments["img_size"] = clip.height_width
    try:
        backbone = timm.create_model(architecture, pretrained=False, num_classes=0, **arguments)
    except (TypeError, ValueError, AssertionError) as error:
        if not arguments:
            raise
        asked = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise ParameterError(
            f"timm/{architecture} cannot be built with {asked}: {error}",
            hint="leave out data.clip.size and drop_path, or take another backbone",
        ) from error
    features = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return FrameEncoder(backbone, features, num_classes, dropout)
