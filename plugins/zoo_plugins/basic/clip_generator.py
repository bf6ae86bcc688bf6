"""A small generator of clips."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError

STEPS = (8, 16, 16)
"""(T, H, W) how much the transposed convolutions lengthen and widen what the latent becomes."""


class ClipGenerator(nn.Module):
    """From a latent, by transposed 3-D convolutions, to clips: the one-stream network of Vondrick et al. 2016.

    It is called as every model is, with a clip (B, C, T, H, W), here of noise. Every 16th pixel of every 8th frame
    of it is the latent, which is so many independent numbers; the rest is not looked at.

    Args:
        shape: (C, T, H, W) of the clips; T a multiple of 8, H and W of 16.
        width: channels before the last layer; those before it have 2, 4 and 8 times as many.

    Example:
        >>> import torch
        >>> ClipGenerator((3, 8, 32, 32), width=4)(torch.randn(2, 3, 8, 32, 32)).shape
        torch.Size([2, 3, 8, 32, 32])
    """

    def __init__(self, shape: tuple[int, int, int, int], width: int) -> None:
        super().__init__()
        channels, frames, height, pixels = shape
        self.grid = (frames // STEPS[0], height // STEPS[1], pixels // STEPS[2])
        cells = self.grid[0] * self.grid[1] * self.grid[2]
        self.project = nn.Linear(channels * cells, 8 * width * cells, bias=False)
        self.upsample = nn.Sequential(
            nn.BatchNorm3d(8 * width), nn.ReLU(),
            nn.ConvTranspose3d(8 * width, 4 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm3d(4 * width), nn.ReLU(),
            nn.ConvTranspose3d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm3d(2 * width), nn.ReLU(),
            nn.ConvTranspose3d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm3d(width), nn.ReLU(),
            nn.ConvTranspose3d(width, channels, (3, 4, 4), stride=(1, 2, 2), padding=1), nn.Tanh(),
        )  # fmt: skip
        for layer in self.modules():  # Radford et al. 2016, section 4
            if isinstance(layer, nn.Linear | nn.ConvTranspose3d):
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, noise_bcthw: Tensor) -> Tensor:
        """Noise of a clip's shape, standard normal, to clips (B, C, T, H, W) in -1..1."""
        latent_bz = noise_bcthw[:, :, :: STEPS[0], :: STEPS[1], :: STEPS[2]].flatten(1)
        clip_bcthw: Tensor = self.upsample(self.project(latent_bz).unflatten(1, (-1, *self.grid)))
        return clip_bcthw


def clip_generator(
    *,
    clip: Provided[ClipSpec | None] = None,
    width: Annotated[int, Range(ge=1)] = 32,
) -> ClipGenerator:
    """A generator whose convolutions are those of VideoGAN's one-stream network, the last one over space only.

    Args:
        clip: the clip spec in force; 16 frames of 64x64 when absent.
        width: channels before the last layer.

    Returns:
        A module from noise (B, C, T, H, W), standard normal, to clips of that shape in -1..1.

    Raises:
        ParameterError: frames that are no multiple of 8, or sides that are none of 16.
    """
    shape = (3, 16, 64, 64) if clip is None else (len(clip.mean), clip.frames, *clip.height_width)
    if any(side % step for side, step in zip(shape[1:], STEPS, strict=True)):
        raise ParameterError(
            f"clip_generator makes frames in multiples of 8 and sides in multiples of 16; the clip has {shape[1]} of "
            f"{shape[2]}x{shape[3]}",
            hint="change frames and size in data.clip",
        )
    return ClipGenerator(shape, width)
