"""SlowFast: a slow pathway that sees few frames, a thin fast one that sees all (Feichtenhofer et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from zoo_plugins.clip_limits import check_clip, check_clip_spec
from zoo_plugins.video.convolution import Size3, convolution, on_cpu_in
from zoo_plugins.video.drop_path import linear_rates
from zoo_plugins.video.head import PooledHead
from zoo_plugins.video.initialise import initialise
from zoo_plugins.video.resnet import Channels, Classes, Rate, bottleneck_stage
from zoo_plugins.video.stage import set_grad_checkpointing
from zoo_plugins.video.stem import dense_stem
from zoo_registry import ClipSpec, Provided
from zoo_registry.protocols import Stage

_THINNER = 8
"""How many times as many channels the slow pathway has (1 / beta)."""

_FUSED = 2
"""Channels that the fast pathway gives to the slow one, for each of its own."""


@dataclass(frozen=True)
class SlowFastPlan:
    """What sets one SlowFast apart from another.

    Attributes:
        alpha: frames of the fast pathway for one of the slow one.
        window: of the head on the slow pathway, (T, H, W).
        fusion_kernel: frames of the fast pathway that reach one of the slow one.
        depths: blocks of each stage, in both pathways.
        temporal_blocks: how many of the third stage's first blocks see three frames; the others see one.
    """

    alpha: int
    window: Size3
    fusion_kernel: int
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    temporal_blocks: int = 6

    def temporal_kernels(self, stage: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Frames that `conv_a` sees in the blocks of a stage: slow, fast."""
        third = (3,) * self.temporal_blocks + (1,) * (self.depths[2] - self.temporal_blocks)
        return ((1,), (1,), third, (3,))[stage], ((3,), (3,), third, (3,))[stage]


PLANS = {
    "slowfast_4x16_r50": SlowFastPlan(alpha=8, window=(4, 7, 7), fusion_kernel=5),
    "slowfast_r50": SlowFastPlan(alpha=4, window=(8, 7, 7), fusion_kernel=7),
    "slowfast_r101": SlowFastPlan(alpha=4, window=(8, 7, 7), fusion_kernel=5, depths=(3, 4, 23, 3), temporal_blocks=23),
    "slowfast_16x8_r101_50_50": SlowFastPlan(alpha=4, window=(16, 7, 7), fusion_kernel=5, depths=(3, 4, 23, 3)),
}


class Fusion(nn.Module):
    """What the slow pathway learns from the fast one: a convolution in time, norm, ReLU.

    Args:
        channels: of the fast pathway.
        kernel: frames of it.
        alpha: stride in frames.
    """

    def __init__(self, channels: int, kernel: int, alpha: int) -> None:
        super().__init__()
        widened = _FUSED * channels
        self.conv = convolution(channels, widened, (kernel, 1, 1), (alpha, 1, 1))
        self.norm = nn.BatchNorm3d(widened)
        self.act = nn.ReLU(inplace=True)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """(B, C, T, H, W) and (B, D, alpha * T, H, W) to (B, C + 2 * D, T, H, W)."""
        return torch.cat((slow, self.act(self.norm(self.conv(fast)))), 1)


class Pathways(nn.Module):
    """The same part of both pathways, with what the slow one is told before.

    Args:
        slow: of the slow pathway.
        fast: of the fast pathway.
        fuse: joins the slow pathway's input with the fast one's.
    """

    def __init__(self, slow: nn.Module, fast: nn.Module, fuse: Fusion | None = None) -> None:
        super().__init__()
        self.fuse = fuse
        self.slow = slow
        self.fast = fast

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of the slow and of the fast pathway to the next ones."""
        if self.fuse is not None:
            slow = self.fuse(slow, fast)
        return self.slow(slow), self.fast(fast)


class SlowFast(nn.Module):
    """Both pathways over one clip, of which the slow one gets every alpha-th frame or so; gives logits (B, K).

    Args:
        name: for messages.
        plan: what sets it apart.
        num_classes: K.
        in_channels: C of the clips.
        dropout: probability before the last layer.
        drop_path: probability of leaving out the last block of each pathway; earlier blocks in proportion.

    Example:
        >>> network = slowfast(architecture="slowfast_r50", num_classes=6).eval()
        >>> network(torch.zeros(1, 3, 8, 64, 64)).shape
        torch.Size([1, 6])
    """

    def __init__(
        self, name: str, plan: SlowFastPlan, num_classes: int, in_channels: int, dropout: float, drop_path: float
    ) -> None:
        super().__init__()
        self.name = name
        self.alpha = plan.alpha
        self.stem = Pathways(dense_stem(in_channels, 64, (1, 7, 7)), dense_stem(in_channels, 64 // _THINNER, (5, 7, 7)))
        for stage, rates in enumerate(linear_rates(drop_path, plan.depths)):
            self.add_module(f"stage{stage + 1}", _stage(plan, stage, rates))
        self.head = PooledHead(2048 + 2048 // _THINNER, num_classes, window=plan.window, dropout=dropout)
        initialise(self)

    def stages(self) -> list[Stage]:
        """`stem`, `stage1` to `stage4` with a layer a pair of blocks, `head`.

        Maps are those of the slow pathway and, averaged to its frames, of the fast one.
        """
        stages = [Stage("stem", (("stem",),), 64 + 64 // _THINNER, (self.alpha, 4, 4))]
        for number, (name, part) in enumerate(self._bodies()):
            layers = [(f"{name}.slow.{block}", f"{name}.fast.{block}") for block in range(len(part.slow))]
            layers[0] = (f"{name}.fuse", *layers[0])  # type: ignore[assignment]
            channels, size = 256 * 2**number, 4 * 2**number
            stages.append(Stage(name, tuple(layers), channels + channels // _THINNER, (self.alpha, size, size)))
        return [*stages, Stage("head", (("head",),))]

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """The maps (B, C, T / alpha, H', W') of the stem and of every stage, both pathways' channels together."""
        return [self._joined(slow, fast) for slow, fast in self._maps_of(clip_bcthw)]

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """The map (B, 2304, T / alpha, H / 32, W / 32) of the last stage."""
        *_, (slow, fast) = self._maps_of(clip_bcthw)
        return self._joined(slow, fast)

    def forward_head(self, features: Tensor) -> Tensor:
        """That map to logits (B, K)."""
        logits_bk: Tensor = self.head(features)
        return logits_bk

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) of all the fast pathway's frames to logits (B, K)."""
        return self.forward_head(self.forward_features(clip_bcthw))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training keep only what enters each residual block."""
        set_grad_checkpointing(self, enable)

    def _maps_of(self, clip_bcthw: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Slow and fast, one stage after the other, for nobody to keep those that are not wanted."""
        check_clip(self.name, clip_bcthw, frames=self.alpha, size=32, multiple=self.alpha)
        moments = slow_frames(clip_bcthw.shape[2], self.alpha)
        slow, fast = self.stem(torch.stack([clip_bcthw[:, :, moment] for moment in moments], 2), clip_bcthw)
        slow, fast = on_cpu_in(torch.contiguous_format, slow), on_cpu_in(torch.channels_last_3d, fast)
        yield slow, fast
        for _, stage in self._bodies():
            slow, fast = stage(slow, fast)
            yield slow, fast

    def _joined(self, slow: Tensor, fast: Tensor) -> Tensor:
        return torch.cat((slow, fast.unflatten(2, (-1, self.alpha)).mean(3)), 1)

    def _bodies(self) -> list[tuple[str, nn.Module]]:
        return [(name, module) for name, module in self.named_children() if name.startswith("stage")]


def slow_frames(frames: int, alpha: int) -> list[int]:
    """Which frames the slow pathway sees: evenly spaced from the first to the last, rounded down.

    Args:
        frames: of the fast pathway, a multiple of alpha.
        alpha: how many of them for one.

    Example:
        >>> slow_frames(32, 4)
        [0, 4, 8, 13, 17, 22, 26, 31]
    """
    count = frames // alpha
    return [index * (frames - 1) // max(1, count - 1) for index in range(count)]


def slowfast(
    *,
    architecture: Literal["slowfast_4x16_r50", "slowfast_r50", "slowfast_r101", "slowfast_16x8_r101_50_50"],
    num_classes: Classes,
    clip: Provided[ClipSpec | None] = None,
    in_channels: Channels = 3,
    dropout: Rate = 0.5,
    drop_path: Rate = 0.0,
) -> SlowFast:
    """A SlowFast network; takes clips of any size from 32 pixels on, of a multiple of alpha (4 or 8) frames.

    Args:
        architecture: which one.
        num_classes: K.
        clip: the clip spec in force: the fast pathway's frames.
        in_channels: C of the clips.
        dropout: probability before the last layer.
        drop_path: probability of leaving out the last block (stochastic depth); earlier blocks in proportion.

    Raises:
        ParameterError: the clip is too small, or its frames do not divide.
    """
    plan = PLANS[architecture]
    check_clip_spec(architecture, clip, frames=plan.alpha, size=32, multiple=plan.alpha)
    return SlowFast(architecture, plan, num_classes, in_channels, dropout, drop_path)


def _stage(plan: SlowFastPlan, stage: int, rates: list[float]) -> Pathways:
    """Number `stage` from 0 on of both pathways."""
    entering, leaving = (64 if stage == 0 else 128 * 2**stage), 256 * 2**stage
    told = _FUSED * entering // _THINNER
    stride = (1, 1, 1) if stage == 0 else (1, 2, 2)
    slow_kernels, fast_kernels = plan.temporal_kernels(stage)
    return Pathways(
        bottleneck_stage(entering + told, leaving, temporal_kernels=slow_kernels, stride=stride, rates=rates),
        bottleneck_stage(
            entering // _THINNER, leaving // _THINNER, temporal_kernels=fast_kernels, stride=stride, rates=rates
        ),
        Fusion(entering // _THINNER, plan.fusion_kernel, plan.alpha),
    )
