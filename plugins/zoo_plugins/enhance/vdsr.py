"""VDSR: what an enlarged frame lacks, from twenty convolutions (Kim et al. 2016)."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from zoo_registry import Range


class VDSR(nn.Module):
    """A chain of 3x3 convolutions whose output is added to the input, every frame by itself.

    Frames go through it as pictures, B * T of them, so that its layers are ordinary 2-D convolutions.

    Args:
        depth: convolutions, the first and the last one among them.
        width: channels between them.

    Example:
        >>> import torch
        >>> VDSR(depth=3, width=8)(torch.zeros(2, 1, 5, 12, 16)).shape
        torch.Size([2, 1, 5, 12, 16])
    """

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, outside in zip([1, *[width] * (depth - 1)], [*[width] * (depth - 1), 1], strict=True):
            layers += [nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])  # nothing cuts off what the last one says
        for layer in self.layers[::2]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, luma_bcthw: Tensor) -> Tensor:
        """Luma (B, 1, T, H, W) of enlarged frames to that of sharp ones."""
        frames_bchw = luma_bcthw.transpose(1, 2).flatten(0, 1)
        detail_bchw = self.layers(frames_bchw)
        return luma_bcthw + detail_bchw.unflatten(0, (luma_bcthw.shape[0], -1)).transpose(1, 2)


def vdsr(*, depth: Annotated[int, Range(ge=2, le=128)] = 20, width: Annotated[int, Range(ge=1, le=1024)] = 64) -> VDSR:
    """Twenty convolutions that learn the difference between an enlarged frame and a sharp one (Kim et al. 2016).

    One network for every scale: the task enlarges, the network sharpens. Weights are drawn as He et al. (2015) say.

    Args:
        depth: convolutions, the first and the last one among them.
        width: channels between them.

    Returns:
        A module from luma (B, 1, T, H, W), as the clip spec of the entry makes it, to luma.

    Example:
        >>> sum(weight.numel() for weight in vdsr().parameters())              # 665 thousand in the paper's table 1
        664704
    """
    return VDSR(depth, width)
