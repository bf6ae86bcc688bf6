"""In what numbers clips are computed."""

from __future__ import annotations

import torch
from torch import Tensor


def computed_in(kept: torch.dtype) -> torch.dtype:
    """The floats in which clips of a type are changed before they are stored as they came.

    float64 stays what it is. Bytes and half floats are computed in float32: float16 and bfloat16 have no more than 11
    and 8 bits for a value, too few for sums of many or for places in a picture, and on a CPU torch resizes neither.

    Example:
        >>> computed_in(torch.uint8), computed_in(torch.bfloat16), computed_in(torch.float64)
        (torch.float32, torch.float32, torch.float64)
    """
    return torch.float64 if kept == torch.float64 else torch.float32


def widened(clip_bcthw: Tensor) -> Tensor:
    """Half floats as float32, anything else as it is: for several changes in a row, which would each be rounded."""
    return clip_bcthw.to(computed_in(clip_bcthw.dtype)) if clip_bcthw.is_floating_point() else clip_bcthw
