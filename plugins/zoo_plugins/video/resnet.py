"""Residual networks with one pathway, from a table of what sets them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.clip_limits import check_clip, check_clip_spec
from zoo_plugins.video.convolution import Size3, convolution, on_cpu_in, temporal_then_spatial
from zoo_plugins.video.drop_path import linear_rates
from zoo_plugins.video.head import PooledHead
from zoo_plugins.video.initialise import initialise
from zoo_plugins.video.stage import Bottleneck, ResidualStage, set_grad_checkpointing
from zoo_plugins.video.stem import dense_stem
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Stage

Classes = Annotated[Provided[int], Range(ge=1)]
Channels = Annotated[int, Range(ge=1)]
Rate = Annotated[float, Range(ge=0, lt=1)]

ConvB = Callable[[int, Size3], nn.Module]
"""(channels, stride) to the convolution in the middle of a bottleneck."""


def spatial(channels: int, stride: Size3) -> nn.Module:
    """1x3x3."""
    return convolution(channels, channels, (1, 3, 3), stride)


def depthwise(channels: int, stride: Size3) -> nn.Module:
    """3x3x3, channel by channel."""
    return convolution(channels, channels, (3, 3, 3), stride, groups=channels)


@dataclass(frozen=True)
class ResNetPlan:
    """What sets one ResNet apart from another.

    Attributes:
        stem_kernel: (T, H, W).
        temporal_kernels: frames that `conv_a` sees in the blocks of each of the four stages, in turn.
        window: of the head, (T, H, W).
        conv_b: the middle of its bottlenecks.
        depths: blocks of each stage.
        strides: (T, H, W) of each stage.
        stem_pool: whether the stem pools.
        stem_time_stride: frames that the stem's convolution steps by, and its pooling again.
        temporal_pool: frames pooled before the second stage.
        memory_format: in which its stages are fastest on CPUs.
    """

    stem_kernel: Size3
    temporal_kernels: tuple[tuple[int, ...], ...]
    window: Size3
    conv_b: ConvB = spatial
    depths: tuple[int, ...] = (3, 4, 6, 3)
    strides: tuple[Size3, ...] = ((1, 1, 1), (1, 2, 2), (1, 2, 2), (1, 2, 2))
    stem_pool: bool = True
    stem_time_stride: int = 1
    temporal_pool: int = 1
    memory_format: torch.memory_format = torch.contiguous_format


_FLAT = ((1,), (1,), (1,), (1,))

PLANS = {
    "slow_r50": ResNetPlan((1, 7, 7), ((1,), (1,), (3,), (3,)), window=(8, 7, 7)),
    "c2d_r50": ResNetPlan((1, 7, 7), _FLAT, window=(4, 7, 7), temporal_pool=2),
    "i3d_r50": ResNetPlan((5, 7, 7), ((3,), (3, 1), (3, 1), (1, 3)), window=(4, 7, 7), temporal_pool=2),
    "i3d_r50_32x2": ResNetPlan(
        (5, 7, 7),
        ((3,), (3, 1), (3, 1), (1, 3)),
        window=(4, 7, 7),
        stem_time_stride=2,
        temporal_pool=2,
    ),
    "csn_r101": ResNetPlan(
        (3, 7, 7),
        _FLAT,
        window=(4, 7, 7),
        conv_b=depthwise,
        depths=(3, 4, 23, 3),
        strides=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
        memory_format=torch.channels_last_3d,
    ),
    "r2plus1d_r50": ResNetPlan(
        (1, 7, 7),
        _FLAT,
        window=(4, 7, 7),
        conv_b=temporal_then_spatial,
        strides=((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
        stem_pool=False,
    ),
}


class VideoResNet(nn.Module):
    """A stem, stages of bottlenecks and a head. Takes normalised clips (B, C, T, H, W), gives logits (B, K).

    Args:
        name: for messages.
        stem: `zoo_plugins.video.stem.Stem`.
        stages: in order; parameters are named `stage1`, `stage2`, ...
        head: from the last stage's map to logits.
        maps: (channels, stride (T, H, W) within the clip) of the stem's and each stage's map.
        memory_format: of the stages on CPUs, whatever comes in.

    Example:
        >>> network = resnet(architecture="slow_r50", num_classes=6).eval()
        >>> network(torch.zeros(1, 3, 4, 64, 64)).shape
        torch.Size([1, 6])
    """

    def __init__(
        self,
        name: str,
        stem: nn.Module,
        stages: Sequence[ResidualStage],
        head: nn.Module,
        maps: Sequence[tuple[int, Size3]],
        *,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.name = name
        self.stem = stem
        for number, stage in enumerate(stages, 1):
            self.add_module(f"stage{number}", stage)
        self.head = head
        self.maps = tuple(maps)
        self.channels_last = memory_format is torch.channels_last_3d  # torch.save knows no memory formats
        initialise(self)

    def stages(self) -> list[Stage]:
        """`stem`, `stage1` to `stage4` with a layer a block, `head`."""
        parts: list[tuple[str, tuple[tuple[str, ...], ...]]] = [("stem", (("stem",),))]
        parts += [(name, tuple((f"{name}.{block}",) for block in range(len(stage)))) for name, stage in self._bodies()]
        maps = zip(parts, self.maps, strict=True)
        return [
            *(Stage(name, layers, channels, stride) for (name, layers), (channels, stride) in maps),
            Stage("head", (("head",),)),
        ]

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """The maps (B, C, T', H', W') of the stem and of every stage."""
        return list(self._maps_of(clip_bcthw))

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """The map (B, C, T', H', W') of the last stage."""
        *_, last = self._maps_of(clip_bcthw)
        return last

    def forward_head(self, features: Tensor) -> Tensor:
        """That map to logits (B, K)."""
        logits_bk: Tensor = self.head(features)
        return logits_bk

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to logits (B, K)."""
        return self.forward_head(self.forward_features(clip_bcthw))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training keep only what enters each residual block."""
        set_grad_checkpointing(self, enable)

    def _maps_of(self, clip_bcthw: Tensor) -> Iterator[Tensor]:
        """One after the other, for nobody to keep those that are not wanted."""
        _, (frames, size, _) = self.maps[-1]
        check_clip(self.name, clip_bcthw, frames=frames, size=size)
        memory_format = torch.channels_last_3d if self.channels_last else torch.contiguous_format
        features = on_cpu_in(memory_format, self.stem(clip_bcthw))
        yield features
        for _, stage in self._bodies():
            features = stage(features)
            yield features

    def _bodies(self) -> list[tuple[str, nn.Module]]:
        return [(name, module) for name, module in self.named_children() if name.startswith("stage")]


def resnet(
    *,
    architecture: Literal["slow_r50", "c2d_r50", "i3d_r50", "i3d_r50_32x2", "csn_r101", "r2plus1d_r50"],
    num_classes: Classes,
    clip: Provided[ClipSpec | None] = None,
    in_channels: Channels = 3,
    dropout: Rate = 0.5,
    drop_path: Rate = 0.0,
) -> VideoResNet:
    """A residual network with one pathway; takes clips of any size and length from its total stride on.

    Args:
        architecture: which one.
        num_classes: K.
        clip: the clip spec in force.
        in_channels: C of the clips.
        dropout: probability before the last layer.
        drop_path: probability of leaving out the last block (stochastic depth); earlier blocks in proportion.

    Raises:
        ParameterError: the clip is too short or too small.
    """
    plan = PLANS[architecture]
    maps = plan_maps(plan)
    least_frames, least_size, _ = maps[-1][1]
    check_clip_spec(architecture, clip, frames=least_frames, size=least_size)
    return VideoResNet(
        architecture,
        dense_stem(in_channels, 64, plan.stem_kernel, pool=plan.stem_pool, time_stride=plan.stem_time_stride),
        [
            bottleneck_stage(
                maps[stage][0],
                maps[stage + 1][0],
                conv_b=plan.conv_b,
                temporal_kernels=plan.temporal_kernels[stage],
                stride=plan.strides[stage],
                rates=rates,
                temporal_pool=plan.temporal_pool if stage == 1 else 1,
            )
            for stage, rates in enumerate(linear_rates(drop_path, plan.depths))
        ],
        PooledHead(maps[-1][0], num_classes, window=plan.window, dropout=dropout),
        maps,
        memory_format=plan.memory_format,
    )


def bottleneck_stage(
    in_channels: int,
    out_channels: int,
    *,
    conv_b: ConvB = spatial,
    temporal_kernels: tuple[int, ...],
    stride: Size3,
    rates: Sequence[float],
    temporal_pool: int = 1,
) -> ResidualStage:
    """A stage of bottlenecks a quarter as wide inside as outside; the first one has the stride.

    Args:
        in_channels: of what enters it.
        out_channels: of what leaves it.
        conv_b: the middle of its bottlenecks.
        temporal_kernels: frames that `conv_a` sees, block by block in turn.
        stride: (T, H, W).
        rates: of drop path, a block each.
        temporal_pool: frames pooled before.
    """
    inner_channels = out_channels // 4
    blocks = []
    for index, rate in enumerate(rates):
        block_stride = stride if index == 0 else (1, 1, 1)
        blocks.append(
            Bottleneck(
                in_channels if index == 0 else out_channels,
                out_channels,
                conv_b=conv_b(inner_channels, block_stride),
                inner_channels=inner_channels,
                temporal_kernel=temporal_kernels[index % len(temporal_kernels)],
                stride=block_stride,
                drop_path=rate,
            )
        )
    return ResidualStage(blocks, temporal_pool)


def plan_maps(plan: ResNetPlan) -> list[tuple[int, Size3]]:
    """Channels and stride within the clip of the stem's and of every stage's map."""
    size = 4 if plan.stem_pool else 2
    maps = [(64, (plan.stem_time_stride**2, size, size))]
    for stage, (time, height, width) in enumerate(plan.strides):
        before = maps[-1][1]
        pooled = plan.temporal_pool if stage == 1 else 1
        maps.append((256 * 2**stage, (before[0] * time * pooled, before[1] * height, before[2] * width)))
    return maps
