from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class SqueezeExcite(nn.Module):
    """Scales every channel by what the mean of all channels suggests (Hu et al. 2018).

    Args:
        channels: C.
        squeezed: width of the layer in between.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv3d(channels, squeezed, 1)
        self.expand = nn.Conv3d(squeezed, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T, H, W) to the same shape."""
        mean = features.mean((2, 3, 4), keepdim=True)
        return features * self.expand(F.relu(self.reduce(mean))).sigmoid()
