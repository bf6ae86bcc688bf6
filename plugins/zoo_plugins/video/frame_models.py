"""Image backbones of timm with something over time that learns."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor

from zoo_plugins.timm.backbone import frame_backbone, frames_of
from zoo_plugins.timm.frame_encoder import FrameEncoder
from zoo_plugins.timm.stages import feature_levels
from zoo_plugins.video.temporal_heads import (
    ConvGRU,
    MultiScaleConvolutions,
    TemporalAttentionPooling,
    TemporalConvolutions,
    TemporalTransformer,
)
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError

Count = Annotated[int, Range(ge=1)]
Probability = Annotated[float, Range(ge=0, lt=1)]


class FrameMapEncoder(FrameEncoder):
    """A frame encoder whose part over time sees where things are: it gets the backbone's last maps, not their mean."""

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to the last maps of their frames (B, D, T, H', W').

        Raises:
            ParameterError: the backbone gives no maps.
        """
        map_nchw = self.backbone(frames_of(clip_bcthw))
        if map_nchw.ndim != 4:
            raise _no_map(type(self.backbone).__name__)
        if str(getattr(self.backbone, "output_fmt", "NCHW")) == "NHWC":
            map_nchw = map_nchw.permute(0, 3, 1, 2)
        map_bcthw: Tensor = map_nchw.unflatten(0, (-1, clip_bcthw.shape[2])).transpose(1, 2)
        return map_bcthw

    def forward_frames(self, clip_bcthw: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Frames to their last maps (B, T, D, H', W'), and None: they do not see one another."""
        return self.forward_features(clip_bcthw).transpose(1, 2), None

    def forward_time(self, features_bt: Tensor) -> Tensor:
        """Maps of a clip's frames (B, T, D, H', W') to logits (B, K)."""
        return self.forward_head(features_bt.transpose(1, 2))


def frame_attention(
    *,
    num_classes: Provided[int],
    backbone: str = "resnet50",
    clip: Provided[ClipSpec | None] = None,
    in_channels: Count = 3,
    width: Count = 512,
    heads: Count = 8,
    dropout: Probability = 0.0,
    drop_path: Probability = 0.0,
) -> FrameEncoder:
    """Attention pooling over the frames of any timm backbone.

    Args:
        num_classes: K.
        backbone: timm's name of it. Its mean and deviation of colours may not be those of the clip spec: `data.clip`
            sets them.
        clip: the clip spec in force. Backbones that are made for one size are made for this one.
        in_channels: C of the clip.
        width: of the attention, a multiple of `heads`.
        heads: how many weightings lie side by side.
        dropout: probability before the last layer.
        drop_path: probability of leaving out a residual branch of the backbone.

    Raises:
        ParameterError: timm has no such backbone, or cannot build it like this; a width that heads cannot share.
    """
    network, features = frame_backbone(backbone, clip=clip, in_channels=in_channels, drop_path=drop_path)
    pooling = TemporalAttentionPooling(features, width, heads)
    return FrameEncoder(network, width, num_classes, dropout, pooling)


def frame_transformer(
    *,
    num_classes: Provided[int],
    backbone: str = "resnet50",
    clip: Provided[ClipSpec | None] = None,
    in_channels: Count = 3,
    width: Count = 512,
    depth: Count = 4,
    heads: Count = 8,
    dropout: Probability = 0.1,
    drop_path: Probability = 0.0,
) -> FrameEncoder:
    """A transformer over the frames of any timm backbone.

    Args:
        num_classes: K.
        backbone: timm's name of it. Its mean and deviation of colours may not be those of the clip spec: `data.clip`
            sets them.
        clip: the clip spec in force; positions are learnt for its number of frames (8 without it).
        in_channels: C of the clip.
        width: of the transformer, a multiple of `heads`.
        depth: number of its blocks.
        heads: attention heads of each.
        dropout: probability in the blocks and before the last layer.
        drop_path: probability of leaving out a residual branch of the backbone.

    Raises:
        ParameterError: timm has no such backbone, or cannot build it like this; a width that heads cannot share.
    """
    network, features = frame_backbone(backbone, clip=clip, in_channels=in_channels, drop_path=drop_path)
    transformer = TemporalTransformer(features, clip.frames if clip else 8, width, depth, heads, dropout)
    return FrameEncoder(network, width, num_classes, dropout, transformer)


def frame_conv1d(
    *,
    num_classes: Provided[int],
    backbone: str = "resnet50",
    clip: Provided[ClipSpec | None] = None,
    in_channels: Count = 3,
    width: Count = 512,
    depth: Count = 3,
    kernel: Count = 3,
    dropout: Probability = 0.1,
    drop_path: Probability = 0.0,
) -> FrameEncoder:
    """Dilated convolutions along time over the frames of any timm backbone.

    Args:
        num_classes: K.
        backbone: timm's name of it. Its mean and deviation of colours may not be those of the clip spec: `data.clip`
            sets them.
        clip: the clip spec in force. Backbones that are made for one size are made for this one.
        in_channels: C of the clip.
        width: channels of the convolutions.
        depth: number of residual blocks; each has twice the dilation of the one before it.
        kernel: frames of each convolution, an odd number.
        dropout: probability in the blocks and before the last layer.
        drop_path: probability of leaving out a residual branch of the backbone.

    Raises:
        ParameterError: timm has no such backbone, or cannot build it like this; an even kernel.
    """
    network, features = frame_backbone(backbone, clip=clip, in_channels=in_channels, drop_path=drop_path)
    convolutions = TemporalConvolutions(features, width, depth, kernel, dropout)
    return FrameEncoder(network, width, num_classes, dropout, convolutions)


def frame_multiscale(
    *,
    num_classes: Provided[int],
    backbone: str = "resnet50",
    clip: Provided[ClipSpec | None] = None,
    in_channels: Count = 3,
    width: Count = 510,
    depth: Count = 2,
    kernels: tuple[Count, ...] = (3, 5, 7),
    dropout: Probability = 0.1,
    drop_path: Probability = 0.0,
) -> FrameEncoder:
    """Convolutions of several time spans side by side over the frames of any timm backbone.

    Args:
        num_classes: K.
        backbone: timm's name of it. Its mean and deviation of colours may not be those of the clip spec: `data.clip`
            sets them.
        clip: the clip spec in force. Backbones that are made for one size are made for this one.
        in_channels: C of the clip.
        width: channels of a layer, a multiple of the number of kernels.
        depth: number of layers.
        kernels: frames of the spans, odd numbers.
        dropout: probability in the layers and before the last one.
        drop_path: probability of leaving out a residual branch of the backbone.

    Raises:
        ParameterError: timm has no such backbone, or cannot build it like this; kernels that do not go with the width.
    """
    network, features = frame_backbone(backbone, clip=clip, in_channels=in_channels, drop_path=drop_path)
    convolutions = MultiScaleConvolutions(features, width, depth, kernels, dropout)
    return FrameEncoder(network, width, num_classes, dropout, convolutions)


def frame_conv_gru(
    *,
    num_classes: Provided[int],
    backbone: str = "resnet50",
    clip: Provided[ClipSpec | None] = None,
    in_channels: Count = 3,
    width: Count = 256,
    dropout: Probability = 0.0,
    drop_path: Probability = 0.0,
) -> FrameMapEncoder:
    """A convolutional GRU over the last maps of a timm backbone.

    Args:
        num_classes: K.
        backbone: timm's name of one that narrows down to a last map, such as a ResNet. Its mean and deviation of
            colours may not be those of the clip spec: `data.clip` sets them.
        clip: the clip spec in force. Backbones that are made for one size are made for this one.
        in_channels: C of the clip.
        width: channels of the state.
        dropout: probability before the last layer.
        drop_path: probability of leaving out a residual branch of the backbone.

    Raises:
        ParameterError: timm has no such backbone, or cannot build it like this, or it is no network of maps.
    """
    network, features = frame_backbone(backbone, clip=clip, in_channels=in_channels, drop_path=drop_path)
    if len({level.reduction for level in feature_levels(network)}) < 2:
        raise _no_map(backbone)
    network.reset_classifier(0, "")  # no pooling either
    return FrameMapEncoder(network, width, num_classes, dropout, ConvGRU(features, width))


def _no_map(backbone: str) -> ParameterError:
    return ParameterError(
        f"a ConvGRU needs maps, and {backbone} does not narrow down to one",
        hint="take a convolutional backbone, such as resnet50, or video/frame_transformer for this one",
    )
