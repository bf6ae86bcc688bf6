"""Video ResNets of 18 layers (Tran et al. 2018, https://arxiv.org/abs/1711.11248)."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor, nn
from torchvision.models.video import VideoResNet
from torchvision.models.video.resnet import (
    BasicBlock,
    BasicStem,
    Conv2Plus1D,
    Conv3DNoTemporal,
    Conv3DSimple,
    R2Plus1dStem,
)

from zoo_plugins.chain import Chain
from zoo_plugins.torchvision.for_channels import for_channels
from zoo_registry import Provided, Range
from zoo_registry.protocols import Stage

Architecture = Literal["r3d_18", "mc3_18", "r2plus1d_18"]

_STEMS = {"r3d_18": BasicStem, "mc3_18": BasicStem, "r2plus1d_18": R2Plus1dStem}
_CONVOLUTIONS = {
    "r3d_18": [Conv3DSimple] * 4,
    "mc3_18": [Conv3DSimple] + [Conv3DNoTemporal] * 3,
    "r2plus1d_18": [Conv2Plus1D] * 4,
}


class StagedVideoResNet(Chain, VideoResNet):
    """torchvision's `VideoResNet` with stages; parameters and their names are torchvision's.

    Args:
        architecture: r3d_18, mc3_18 or r2plus1d_18.
        num_classes: K.
        in_channels: of the clip.

    Example:
        >>> import torch
        >>> features = StagedVideoResNet("r3d_18", 6).forward_features(torch.zeros(1, 3, 8, 32, 32))
        >>> features.shape
        torch.Size([1, 512, 1, 2, 2])
    """

    def __init__(self, architecture: Architecture, num_classes: int, in_channels: int = 3) -> None:
        VideoResNet.__init__(
            self, BasicBlock, _CONVOLUTIONS[architecture], [2, 2, 2, 2], _STEMS[architecture], num_classes=num_classes
        )
        self.time_narrows = architecture != "mc3_18"
        if in_channels != 3:
            self.stem[0] = for_channels(self.stem[0], in_channels)
            nn.init.kaiming_normal_(self.stem[0].weight, mode="fan_out", nonlinearity="relu")

    def stages(self) -> list[Stage]:
        """stem, stage1 to stage4, head."""
        stages = [Stage("stem", (("stem",),), channels=64, stride=(1, 2, 2))]
        for number in range(1, 5):
            narrower = 2 ** (number - 1)
            layers = tuple((f"layer{number}.{index}",) for index in range(len(self.get_submodule(f"layer{number}"))))
            stride = (narrower if self.time_narrows else 1, 2 * narrower, 2 * narrower)
            stages.append(Stage(f"stage{number}", layers, channels=64 * narrower, stride=stride))
        return [*stages, Stage("head", (("fc",),))]

    def forward_head(self, features: Tensor) -> Tensor:
        """From the last map (B, 512, T', H', W') to logits (B, K)."""
        logits_bk: Tensor = self.fc(self.avgpool(features).flatten(1))
        return logits_bk


def resnet3d(
    *, architecture: Architecture, num_classes: Provided[int], in_channels: Annotated[int, Range(ge=1)] = 3
) -> StagedVideoResNet:
    """An 18-layer video ResNet; takes clips of any length and size.

    Args:
        architecture: how its convolutions treat time: r3d_18, mc3_18 or r2plus1d_18.
        num_classes: K.
        in_channels: of the clip.

    Returns:
        A module from normalised clips (B, C, T, H, W) to logits (B, K).
    """
    return StagedVideoResNet(architecture, num_classes, in_channels)
