"""Rows of all processes of a distributed run."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def processes() -> int:
    """How many there are; 1 where nothing is distributed."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def gathered(rows_bd: Tensor) -> tuple[Tensor, int]:
    """The rows of every process, in the order of their ranks, and where one's own begin.

    Gradients come back from all processes: that of a mean over one's own rows, averaged over processes as distributed
    training does it, is that of the mean over all. Processes may have different numbers of rows.

    Args:
        rows_bd: one's own (B, D); D the same everywhere.

    Returns:
        (sum of B, D), and the place of the first of one's own.
    """
    count = processes()
    if count == 1:
        return rows_bd, 0
    from torch.distributed.nn.functional import all_gather

    own = torch.tensor([len(rows_bd)], device=rows_bd.device)
    lengths = [torch.zeros_like(own) for _ in range(count)]
    distributed.all_gather(lengths, own)
    sizes = [int(length) for length in lengths]
    padded_md = torch.cat([rows_bd, rows_bd.new_zeros(max(sizes) - len(rows_bd), rows_bd.shape[1])])
    blocks = all_gather(padded_md.contiguous())  # type: ignore[no-untyped-call]
    rows = torch.cat([block[:size] for block, size in zip(blocks, sizes, strict=True)])
    return rows, sum(sizes[: distributed.get_rank()])
