"""X3D: one small network, expanded along one axis after another (Feichtenhofer 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from zoo_plugins.clip_limits import check_clip_spec
from zoo_plugins.video.convolution import Size3
from zoo_plugins.video.drop_path import linear_rates
from zoo_plugins.video.head import ProjectedHead
from zoo_plugins.video.resnet import Channels, Classes, Rate, VideoResNet, depthwise
from zoo_plugins.video.squeeze_excite import SqueezeExcite
from zoo_plugins.video.stage import Bottleneck, ResidualStage
from zoo_plugins.video.stem import separable_stem
from zoo_registry import ClipSpec, Provided

_STEM = 24
_STAGES = (24, 48, 96, 192)
_INNER = (54, 108, 216, 432)
"""2.25 times as wide."""

_SQUEEZED = (8, 8, 16, 32)
"""A sixteenth of the inner width, in steps of 8."""

_HEAD = 2048


@dataclass(frozen=True)
class X3DPlan:
    """What sets one X3D apart from another.

    Attributes:
        window: of the head: the last map of its training clips, (T, H, W).
        depths: blocks of each stage.
    """

    window: Size3
    depths: tuple[int, int, int, int] = (3, 5, 11, 7)


PLANS = {
    "x3d_xs": X3DPlan(window=(4, 5, 5)),
    "x3d_s": X3DPlan(window=(13, 5, 5)),
    "x3d_m": X3DPlan(window=(16, 7, 7)),
    "x3d_l": X3DPlan(window=(16, 10, 10), depths=(5, 10, 25, 15)),
}


def x3d(
    *,
    architecture: Literal["x3d_xs", "x3d_s", "x3d_m", "x3d_l"],
    num_classes: Classes,
    clip: Provided[ClipSpec | None] = None,
    in_channels: Channels = 3,
    dropout: Rate = 0.5,
    drop_path: Rate = 0.0,
) -> VideoResNet:
    """An X3D network; takes clips of any length, and any size from 32 pixels on.

    Args:
        architecture: which one.
        num_classes: K.
        clip: the clip spec in force.
        in_channels: C of the clips.
        dropout: probability before the last layer.
        drop_path: probability of leaving out the last block (stochastic depth); earlier blocks in proportion.

    Raises:
        ParameterError: the clip is too small.
    """
    plan = PLANS[architecture]
    check_clip_spec(architecture, clip, size=32)
    rates = linear_rates(drop_path, plan.depths)
    return VideoResNet(
        architecture,
        separable_stem(in_channels, _STEM),
        [_stage(number, rates[number]) for number in range(4)],
        ProjectedHead(
            _STAGES[-1], num_classes, inner_channels=_INNER[-1], outer_channels=_HEAD, window=plan.window,
            dropout=dropout,
        ),
        [(_STEM, (1, 2, 2)), *((channels, (1, 4 << stage, 4 << stage)) for stage, channels in enumerate(_STAGES))],
        memory_format=torch.channels_last_3d,
    )  # fmt: skip


def _stage(number: int, rates: list[float]) -> ResidualStage:
    """A stage of depthwise bottlenecks; the first one halves height and width, every other one excites."""
    inner, channels = _INNER[number], _STAGES[number]
    blocks = []
    for index, rate in enumerate(rates):
        entering = channels if index else (_STEM, *_STAGES)[number]
        stride = (1, 1, 1) if index else (1, 2, 2)
        blocks.append(
            Bottleneck(
                entering,
                channels,
                conv_b=depthwise(inner, stride),
                inner_channels=inner,
                stride=stride,
                excite=SqueezeExcite(inner, _SQUEEZED[number]) if index % 2 == 0 else None,
                act_b=nn.SiLU(inplace=True),
                norm_shortcut=entering != channels,
                drop_path=rate,
            )
        )
    return ResidualStage(blocks)
