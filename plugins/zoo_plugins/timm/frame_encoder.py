"""An image backbone that looks at every frame, and what makes one answer of its features over time."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor, nn

from zoo_plugins.timm.backbone import frame_backbone, frame_features, frame_pyramid, set_grad_checkpointing
from zoo_plugins.timm.stages import backbone_stages
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Stage


class TemporalMean(nn.Module):
    """The mean over frames: the segmental consensus of Temporal Segment Networks (Wang et al. 2016, section 3.1).

    The mean of a linear layer's answers is its answer to the mean, so it may stand before the classifier.

    Args:
        dropout: probability for every feature of every frame.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def forward(self, features_btd: Tensor) -> Tensor:
        """Features of frames (B, T, D) to those of clips (B, D)."""
        return self.dropout(features_btd).mean(1)


class FrameEncoder(nn.Module):
    """Frames through a timm backbone, its features through something over time and a linear layer.

    `backbone.*` has timm's own parameter names; `head.*` takes the place of timm's classifier, so that with the mean
    over time a clip of one frame gets timm's own logits. The mean does not see the order of frames.

    A `zoo_registry.protocols.StreamingNetwork`: the backbone need not look at a frame again for the next window.

    Args:
        backbone: a timm model without classifier, see `frame_backbone`.
        features: D, what `temporal` gives.
        num_classes: K.
        dropout: probability before the last layer.
        temporal: features of frames (B, T, D) to features of clips (B, D); the mean when None.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        num_classes: int,
        dropout: float = 0.0,
        temporal: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.temporal = temporal or TemporalMean()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, num_classes)
        self.streams = True

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to logits (B, K)."""
        return self.forward_head(self.forward_features(clip_bcthw))

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to features of their frames (B, T, D)."""
        return frame_features(self.backbone, clip_bcthw)

    def forward_head(self, features: Tensor) -> Tensor:
        """Features of frames to logits (B, K)."""
        logits_bk: Tensor = self.head(self.dropout(self.temporal(features)))
        return logits_bk

    def forward_frames(self, clip_bcthw: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Frames to their features (B, T, D), and None: they do not see one another."""
        return self.forward_features(clip_bcthw), None

    def forward_time(self, features_bt: Tensor) -> Tensor:
        """Features of a clip's frames (B, T, D) to logits (B, K)."""
        return self.forward_head(features_bt)

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """Clips to timm's maps (B, C, T, H', W') of all frames, finest first.

        Raises:
            ParameterError: timm offers none of this backbone.
        """
        return frame_pyramid(self.backbone, clip_bcthw)

    def stages(self) -> tuple[Stage, ...]:
        """The backbone's stages; what is over time belongs to the head."""
        *body, last = backbone_stages(self.backbone)
        own = tuple(f"temporal.{name}" for name, _ in self.temporal.named_parameters(recurse=False))
        parts = [
            (f"temporal.{name}",)
            for name, part in self.temporal.named_children()
            if any(True for _ in part.parameters())
        ]
        return (*body, Stage("head", (*last.layers, *([own] if own else []), *parts, ("head",))))

    def no_weight_decay(self) -> set[str]:
        """What timm spares of the backbone, and tokens and tables of what is over time."""
        listed = set(getattr(self.backbone, "no_weight_decay", set)())  # timm lists some that not every variant has
        spared = (f"backbone.{name}" for name, _ in self.backbone.named_parameters() if name in listed)
        return {*spared, *(f"temporal.{name}" for name, _ in self.temporal.named_parameters(recurse=False))}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training compute the backbone's layers again in the backward pass.

        Raises:
            ParameterError: timm cannot do that with this backbone.
        """
        set_grad_checkpointing(self.backbone, enable)


def frame_encoder(
    *,
    architecture: str,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    drop_path: Annotated[float, Range(ge=0, lt=1)] = 0.0,
) -> FrameEncoder:
    """Any timm model as a classifier of clips.

    Args:
        architecture: timm's name of it.
        num_classes: K.
        clip: the clip spec in force. Backbones that are made for one size are made for this one.
        in_channels: C of the clip.
        dropout: probability before the last layer.
        drop_path: probability of leaving out a residual branch (stochastic depth), where the backbone has it.

    Raises:
        ParameterError: the backbone cannot take clips of this size or number of channels, or has no stochastic depth.
    """
    backbone, features = frame_backbone(architecture, clip=clip, in_channels=in_channels, drop_path=drop_path)
    return FrameEncoder(backbone, features, num_classes, dropout)
