"""A small classifier that says what its stages are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_registry.protocols import Stage


class StagedCnn(nn.Module):
    """A stem and three convolutions as stages, then a linear layer.

    Args:
        skip: what the first stage gives is read again by the last one, past the second.
    """

    def __init__(self, skip: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 4, 3, padding=1)
        self.stage1, self.stage2, self.stage3 = (nn.Conv3d(4, 4, 3, padding=1) for _ in range(3))
        self.fc = nn.Linear(4, 5)
        self.skip = skip

    def stages(self) -> list[Stage]:
        names = ("stem", "stage1", "stage2", "stage3")
        return [*(Stage(name, ((name,),), channels=4, stride=(1, 1, 1)) for name in names), Stage("head", (("fc",),))]

    def forward_features(self, clip: Tensor) -> Tensor:
        first = self.stage1(self.stem(clip).relu()).relu()
        second = self.stage2(first).relu()
        return self.stage3(second + first if self.skip else second).relu()

    def forward_head(self, features: Tensor) -> Tensor:
        return self.fc(features.mean((2, 3, 4)))

    def forward(self, clip: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(clip))

    def forward_pyramid(self, clip: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        raise NotImplementedError


def staged_cnn(skip: bool = False) -> StagedCnn:
    """With the same weights each time."""
    torch.manual_seed(0)
    return StagedCnn(skip).eval()
