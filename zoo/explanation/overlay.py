"""A map over the pictures it is of: grey where nothing is said, coloured where the answer comes from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch.nn.functional import interpolate

from zoo.data.clips.placement import Placement

COLOURS = "inferno"
"""matplotlib's table: evenly rising lightness, which the colour-blind see too and grey printing keeps."""

STRONGEST = 0.75
"""How much of a picture the highest value covers."""

UNSEEN = 0.4
"""Brightness of what lies outside the model's window."""


def at_time(map_thw: np.ndarray, times: Sequence[float], moment: float) -> np.ndarray:
    """The map (H, W) at a moment, interpolated between the frames that the model saw.

    Args:
        map_thw: a map for each of `times`.
        times: ascending; where several are equal their mean counts.
        moment: in seconds; before the first and after the last, theirs.

    Example:
        >>> at_time(np.array([[[0.0]], [[1.0]]]), [2.0, 4.0], 3.5).tolist()
        [[0.75]]
    """
    own, index = np.unique(np.asarray(times), return_inverse=True)
    place = float(np.interp(moment, own, np.arange(len(own))))
    before, share = int(place), place % 1
    after = min(before + 1, len(own) - 1)
    mixed: np.ndarray = (1 - share) * map_thw[index == before].mean(0) + share * map_thw[index == after].mean(0)
    return mixed


def on_picture(map_hw: np.ndarray, placement: Placement, height: int, width: int) -> np.ndarray:
    """The map of the model's window as (height, width) of the whole displayed picture; NaN where it does not look."""
    (tall, wide), (top, left) = placement.scaled, placement.corner
    rows, columns = placement.window
    first_row, last_row = (round(at * height / tall) for at in (top, top + rows))
    first_column, last_column = (round(at * width / wide) for at in (left, left + columns))
    size = max(last_row - first_row, 1), max(last_column - first_column, 1)
    fine = interpolate(torch.from_numpy(map_hw)[None, None].float(), size=size, mode="bilinear", align_corners=False)
    whole = np.full((height, width), np.nan, np.float32)
    target = whole[first_row : first_row + size[0], first_column : first_column + size[1]]
    target[:] = fine[0, 0].numpy()[: target.shape[0], : target.shape[1]]
    return whole


def overlay(picture_hwc: np.ndarray, heat_hw: np.ndarray) -> np.ndarray:
    """A picture with a map over it.

    Args:
        picture_hwc: uint8 (H, W, 3).
        heat_hw: 0..1, NaN where the model does not look.

    Returns:
        uint8 (H, W, 3).
    """
    seen = ~np.isnan(heat_hw)
    heat = np.where(seen, heat_hw, 0.0).clip(0, 1)
    grey = (picture_hwc @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    cover = (STRONGEST * heat**1.2)[..., None]
    mixed = (1 - cover) * (0.35 * picture_hwc + 0.65 * grey) + cover * _table()[(heat * 255).astype(np.uint8)]
    return np.asarray(np.where(seen[..., None], mixed, UNSEEN * grey).round().clip(0, 255).astype(np.uint8))


@lru_cache
def _table() -> np.ndarray:
    """(256, 3) float32 in 0..255."""
    from matplotlib import colormaps

    colours = colormaps[COLOURS](np.linspace(0.15, 1, 256))  # its black would darken what matters little
    return np.asarray(colours[:, :3] * 255, np.float32)
