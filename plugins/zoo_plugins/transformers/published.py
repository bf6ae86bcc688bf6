"""Weights that the library published or saved, for the networks here."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from zoo_plugins.transformers.staged import Grid, PositionTable, StagedTransformer


def from_transformers(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """A state dict as the Hub and `save_pretrained` have it, for a network of this package.

    Keys that the library has renamed since are renamed, parts that the network has no place for are left out, and
    learnt tables of positions are interpolated to the grid of the network's clip, which a warning says.

    Args:
        state: the published tensors.
        module: a `StagedTransformer`.
    """
    if not isinstance(module, StagedTransformer):
        return dict(state)
    own = module.state_dict()
    fitted = {}
    for published, tensor in state.items():
        key = published if published in own else _renamed(published, module)
        if key in own or not published.startswith(module.unused):
            fitted[key] = tensor
    changed = []
    for key, table in module.position_tables().items():
        if key in fitted and fitted[key].shape != own[key].shape and _is_published(fitted[key], table):
            fitted[key] = _interpolated(fitted[key], table).view_as(own[key])
            changed.append(f"{_times(table.published)} to {_times(table.own)}")
    if changed:
        warnings.warn(f"positions interpolated for the clip: {', '.join(changed)} patches", stacklevel=2)
    return module.completed(fitted)


def _renamed(key: str, module: StagedTransformer) -> str:
    for pattern, replacement in module.renamed:
        key = re.sub(pattern, replacement, key)
    return key


def _is_published(rows: Tensor, table: PositionTable) -> bool:
    frames, height, width = table.published
    return rows.shape[-2] == table.special + frames * height * width


def _interpolated(rows: Tensor, table: PositionTable) -> Tensor:
    """Rows (..., N, C) of the published grid as those of the module's: bicubic in the picture, linear in time."""
    rows_nc = rows.reshape(rows.shape[-2:])
    special, grid = rows_nc[: table.special], rows_nc[table.special :].view(*table.published, -1)
    frames, height, width = table.own
    if grid.shape[1:3] != (height, width):
        pictures_tchw = grid.permute(0, 3, 1, 2)
        grid = interpolate(pictures_tchw, size=(height, width), mode="bicubic").permute(0, 2, 3, 1)
    if len(grid) != frames:
        lines_nct = grid.flatten(1, 2).permute(1, 2, 0)
        grid = interpolate(lines_nct, size=frames, mode="linear").permute(2, 0, 1)
    return torch.cat([special, grid.reshape(frames * height * width, -1)])


def _times(grid: Grid) -> str:
    return "x".join(str(side) for side in grid)
