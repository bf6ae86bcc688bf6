"""Losses that draw two views of one sample together and away from all others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from zoo_plugins.tasks.gathering import gathered


def nt_xent(one_bd: Tensor, other_bd: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Normalised, temperature-scaled cross-entropy (Chen et al. 2020, equation 1), in float32.

    Every row is a question, of which the answer is the other view of its sample among all other rows: of this batch,
    and where a run is distributed of those of all processes.

    Args:
        one_bd: projections (B, D) of one view of every sample; of any length.
        other_bd: of the other view, in the same order.
        temperature: of the cosine similarities.

    Returns:
        The mean over the 2 B rows, and the share of rows that are nearer to their other view than to all others.

    Example:
        >>> one_bd = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> loss, right = nt_xent(one_bd, 2 * one_bd, temperature=1.0)
        >>> round(float(loss), 4), float(right)                            # log(e + 2) - 1
        (0.5514, 1.0)
    """
    rows = len(one_bd)
    own_rd = normalize(torch.cat([one_bd, other_bd]).float(), dim=1)
    all_nd, first = gathered(own_rd)
    with torch.autocast(own_rd.device.type, enabled=False):
        logits_rn = own_rd @ all_nd.T / temperature
    number_r = torch.arange(2 * rows, device=own_rd.device)
    itself_rn = torch.arange(len(all_nd), device=own_rd.device) == (first + number_r)[:, None]
    logits_rn = logits_rn.masked_fill(itself_rn, -torch.inf)
    return _answered(logits_rn, first + (number_r + rows) % (2 * rows))


def info_nce(query_bd: Tensor, key_bd: Tensor, queue_nd: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Which of many keys is a query's own (He et al. 2020, equation 1), in float32.

    Args:
        query_bd: projections (B, D) of one view of every sample; of any length.
        key_bd: of the other view by the momentum encoder, in the same order, without gradients.
        queue_nd: unit keys (N, D) of earlier samples.
        temperature: of the cosine similarities.

    Returns:
        The mean over the queries, and the share of them that are nearest to their own key.

    Example:
        >>> query_bd, queue_nd = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
        >>> loss, right = info_nce(query_bd, query_bd, queue_nd, temperature=1.0)
        >>> round(float(loss), 4), float(right)                            # log(e + 1 + 1/e) - 1
        (0.4076, 1.0)
    """
    query_bd, key_bd = normalize(query_bd.float(), dim=1), normalize(key_bd.float(), dim=1)
    with torch.autocast(query_bd.device.type, enabled=False):
        own_b1 = (query_bd * key_bd).sum(dim=1, keepdim=True)
        logits_bn = torch.cat([own_b1, query_bd @ queue_nd.T], dim=1) / temperature
    return _answered(logits_bn, torch.zeros(len(query_bd), dtype=torch.int64, device=query_bd.device))


def _answered(logits_rn: Tensor, answer_r: Tensor) -> tuple[Tensor, Tensor]:
    right = (logits_rn.detach().argmax(dim=1) == answer_r).float().mean()
    return cross_entropy(logits_rn, answer_r), right
