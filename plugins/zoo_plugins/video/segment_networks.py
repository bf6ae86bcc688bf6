"""Temporal Segment Networks and Temporal Shift Networks over any image backbone of timm.

Wang et al.: Temporal Segment Networks, ECCV 2016, https://arxiv.org/abs/1608.00859; Lin et al.: TSM, ICCV 2019,
https://arxiv.org/abs/1811.08383.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Annotated, Any

from torch import Tensor, nn

from zoo_plugins.timm.backbone import frame_backbone
from zoo_plugins.timm.frame_encoder import FrameEncoder, TemporalMean
from zoo_plugins.timm.image_weights import of_frame_encoder
from zoo_plugins.video.temporal_shift import ShiftedLayer, insert_temporal_shift, with_shifted_names
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError

Probability = Annotated[float, Range(ge=0, lt=1)]


class TemporalShiftNetwork(FrameEncoder):
    """A frame encoder whose backbone shifts a part of its channels along time, see `insert_temporal_shift`.

    Args:
        backbone: a timm model without classifier; it is changed.
        features: D.
        num_classes: K.
        frames: T, of every clip.
        dropout: probability for every feature of every frame before the average.
        div: one part in so many of the channels goes forward, as large a one back.
        online: channels only go forward, so that no frame sees a later one and streams need each frame once.

    Raises:
        ParameterError: the backbone has no residual blocks of convolutions.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        num_classes: int,
        *,
        frames: int,
        dropout: float = 0.0,
        div: int = 8,
        online: bool = False,
    ) -> None:
        insert_temporal_shift(backbone, frames, div, online)
        super().__init__(backbone, features, num_classes, temporal=TemporalMean(dropout))
        self.frames = frames
        self.streams = online

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to features of their frames (B, T, D).

        Raises:
            ParameterError: the clips have another length than the network was built for.
        """
        self._check(clip_bcthw)
        return super().forward_features(clip_bcthw)

    def forward_frames(self, clip_bcthw: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Frames to their features (B, T, D), and what every shift hands on to the frame that comes next.

        Args:
            clip_bcthw: any number of frames.
            state: what was handed on by those before; None where there were none.

        Raises:
            ParameterError: frames see later ones: the network is not online.
        """
        if not self.streams:
            raise ParameterError("the network shifts channels back in time too", hint="build it with online: true")
        shifts = [module for module in self.backbone.modules() if isinstance(module, ShiftedLayer)]
        with ExitStack() as pieces:
            for shift, before_bchw in zip(shifts, state or [None] * len(shifts), strict=True):
                pieces.enter_context(shift.piece(clip_bcthw.shape[2], before_bchw))
            features_btd = super().forward_features(clip_bcthw)
            return features_btd, [shift.handed_on_bchw for shift in shifts]

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """Clips to timm's maps (B, C, T, H', W') of all frames, finest first.

        Raises:
            ParameterError: the clips have another length than the network was built for.
        """
        self._check(clip_bcthw)
        return super().forward_pyramid(clip_bcthw)

    def _check(self, clip_bcthw: Tensor) -> None:
        if clip_bcthw.shape[2] != self.frames:
            raise ParameterError(
                f"the network shifts along clips of {self.frames} frames, this one has {clip_bcthw.shape[2]}",
                hint=f"build it for them: data.clip.frames: {clip_bcthw.shape[2]}",
            )


def tsn(
    *,
    num_classes: Provided[int],
    backbone: str = "resnet50",
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    dropout: Probability = 0.4,
    drop_path: Probability = 0.0,
) -> FrameEncoder:
    """A Temporal Segment Network: one frame of each part of the film, the average of what a backbone says of them.

    Args:
        num_classes: K.
        backbone: timm's name of it. Its mean and deviation of colours may not be those of the clip spec: `data.clip`
            sets them.
        clip: the clip spec in force. Backbones that are made for one size are made for this one.
        in_channels: C of the clip.
        dropout: probability for every feature of every frame before the average.
        drop_path: probability of leaving out a residual branch (stochastic depth), where the backbone has it.

    Raises:
        ParameterError: timm has no such backbone, or cannot build it like this.
    """
    network, features = frame_backbone(backbone, clip=clip, in_channels=in_channels, drop_path=drop_path)
    return FrameEncoder(network, features, num_classes, temporal=TemporalMean(dropout))


def tsm(
    *,
    num_classes: Provided[int],
    backbone: str = "resnet50",
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    shift_div: Annotated[int, Range(ge=2)] = 8,
    online: bool = False,
    dropout: Probability = 0.5,
    drop_path: Probability = 0.0,
) -> TemporalShiftNetwork:
    """A Temporal Shift Network: a Temporal Segment Network whose backbone sees the frames before and after.

    Args:
        num_classes: K.
        backbone: timm's name of one with residual blocks of convolutions: a ResNet, MobileNet or EfficientNet and
            their kin. Its mean and deviation of colours may not be those of the clip spec: `data.clip` sets them.
        clip: the clip spec in force; the network is built for its number of frames (8 without it).
        in_channels: C of the clip.
        shift_div: one channel in so many comes from the frame after, as many from the frame before.
        online: none comes from the frame after (section 4.2 of the paper): weaker on clips, but on a stream each frame
            passes the backbone once. Published weights were trained without.
        dropout: probability for every feature of every frame before the average.
        drop_path: probability of leaving out a residual branch (stochastic depth), where the backbone has it.

    Raises:
        ParameterError: timm has no such backbone, or it has no blocks that a shift can be put into.
    """
    network, features = frame_backbone(backbone, clip=clip, in_channels=in_channels, drop_path=drop_path)
    frames = clip.frames if clip else 8
    return TemporalShiftNetwork(
        network, features, num_classes, frames=frames, dropout=dropout, div=shift_div, online=online
    )


def of_image_weights(state: Mapping[str, Tensor], network: FrameEncoder) -> dict[str, Tensor]:
    """Weights of an image classifier of timm, in the keys of a network over frames.

    Args:
        state: as timm publishes it.
        network: the module it is meant for.

    Returns:
        `backbone.*`, and `head.*` where timm's classifier is one linear layer and the network only averages over time:
        behind something that learns there, another one is needed.
    """
    weights = with_shifted_names(of_frame_encoder(state, network), network)
    learns = any(True for _ in network.temporal.parameters())
    return {key: value for key, value in weights.items() if not (learns and key.startswith("head."))}
