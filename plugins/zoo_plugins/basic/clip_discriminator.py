"""A small judge of clips."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError


class ClipDiscriminator(nn.Module):
    """Scores of clips by four 3-D convolutions: the discriminator of Vondrick et al. 2016, without batch norm.

    A gradient penalty is of each sample by itself, which batch norm is not (Gulrajani et al. 2017, section 4).

    Args:
        in_channels: C of the clips.
        width: channels of the first layer; the others have 2, 4 and 8 times as many.

    Example:
        >>> import torch
        >>> ClipDiscriminator(3, width=4)(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2])
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(in_channels, width, (3, 4, 4), stride=(1, 2, 2), padding=1), nn.LeakyReLU(0.2),
            nn.Conv3d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 4 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv3d(4 * width, 8 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.score = nn.Linear(8 * width, 1)

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) of at least 8 frames of 16x16 to scores (B,), higher for what looks real."""
        score_b: Tensor = self.score(self.features(clip_bcthw).mean((2, 3, 4))).squeeze(1)
        return score_b


def clip_discriminator(
    *,
    clip: Provided[ClipSpec | None] = None,
    width: Annotated[int, Range(ge=1)] = 32,
    in_channels: Annotated[int, Range(ge=1)] = 3,
) -> ClipDiscriminator:
    """Four 3-D convolutions, the first over two pixels of each side and the others over two of every axis.

    Args:
        clip: the clip spec in force.
        width: channels of the first layer.
        in_channels: C of the clip.

    Returns:
        A module from clips (B, C, T, H, W) to scores (B,), higher for what looks real.

    Raises:
        ParameterError: the clip is shorter than 8 frames or smaller than 16x16.
    """
    if clip is not None and (clip.frames < 8 or min(clip.height_width) < 16):
        raise ParameterError(
            f"clip_discriminator halves a clip until nothing is left of {clip.frames} frames of "
            f"{clip.height_width[0]}x{clip.height_width[1]}",
            hint="at least 8 frames of 16x16: change frames and size in data.clip",
        )
    return ClipDiscriminator(in_channels, width)
