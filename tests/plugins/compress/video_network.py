"""A 3-D network small enough to check by hand, and clips for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def architecture() -> nn.Sequential:
    """Two convolutions with batch norms, and a linear layer."""
    return nn.Sequential(
        nn.Conv3d(3, 8, 3, padding=1, bias=False), nn.BatchNorm3d(8), nn.ReLU(inplace=True),
        nn.Conv3d(8, 16, 3, stride=2), nn.BatchNorm3d(16), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip


def video_network() -> nn.Sequential:
    """The architecture with weights, and batch norms that have seen data."""
    torch.manual_seed(0)
    network = architecture()
    network.train()(clips(seed=1))
    return network.eval()


def clips(seed: int) -> Tensor:
    return torch.randn(4, 3, 4, 12, 12, generator=torch.Generator().manual_seed(seed))
