"""Small batches whose right answers are known: noise, smooth pictures, one white rectangle on black."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from zoo_registry.protocols import Batch


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(clips: Tensor, **targets: object) -> Batch:
    count = len(clips)
    return Batch({"clip_bcthw": clips}, targets, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def random_clips(count: int = 3, height: int = 40, width: int = 56) -> Tensor:
    return torch.randint(0, 256, (count, 3, 4, height, width), dtype=torch.uint8, generator=seeded(1))


def smooth_clips(count: int = 3, height: int = 40, width: int = 56) -> Tensor:
    """Noise of a twelfth of the size, enlarged: neighbouring pixels differ by a few grey levels."""
    coarse = torch.rand(count, 12, height // 12 + 2, width // 12 + 2, generator=seeded(2))
    smooth = interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().to(torch.uint8).view(count, 3, 4, height, width)


def painted(squares: list[tuple[int, int, int, int]], height: int = 40, width: int = 56) -> tuple[Tensor, list[Tensor]]:
    """Black clips with one white rectangle (x1, y1, x2, y2) each, and these as boxes."""
    clips = torch.zeros(len(squares), 3, 2, height, width, dtype=torch.uint8)
    for clip, (x1, y1, x2, y2) in zip(clips, squares, strict=True):
        clip[..., y1:y2, x1:x2] = 255
    return clips, [torch.tensor([square], dtype=torch.float32) for square in squares]


def white_box(clip_cthw: Tensor) -> Tensor:
    """Where the white pixels of a clip are, as x1 y1 x2 y2."""
    rows, columns = torch.where(clip_cthw[0, 0] > 127)
    return torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=torch.float32)
