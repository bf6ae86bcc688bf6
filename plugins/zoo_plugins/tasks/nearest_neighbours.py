"""How well features tell classes apart, without training anything."""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

_ROWS = 1024
"""Rows compared at a time, which bounds the memory."""


def nearest_neighbour_accuracy(
    features_nd: Tensor, label_n: Tensor, *, neighbours: int = 20, temperature: float = 0.07
) -> float:
    """Share of samples whose class their nearest neighbours tell, each sample left out in turn.

    Neighbours are those of the largest cosine similarity and vote with exp(similarity / temperature) (Wu et al. 2018,
    section 3.4).

    Args:
        features_nd: features (N, D).
        label_n: classes (N,), int64.
        neighbours: how many vote; no more than a class has other samples in the mean.
        temperature: of the votes.

    Returns:
        0..1; NaN for fewer than two samples.

    Example:
        >>> features_nd = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> nearest_neighbour_accuracy(features_nd, torch.tensor([0, 0, 1, 1]), neighbours=1)
        1.0
        >>> nearest_neighbour_accuracy(features_nd, torch.tensor([0, 1, 0, 1]), neighbours=1)
        0.0
    """
    count = len(features_nd)
    if count < 2:
        return nan
    unit_nd, classes = normalize(features_nd.float(), dim=1), int(label_n.max()) + 1
    there = int((torch.bincount(label_n) > 0).sum())
    voting = min(neighbours, max(1, count // there - 1))
    right = 0
    for start in range(0, count, _ROWS):
        similar_rn = unit_nd[start : start + _ROWS] @ unit_nd.T
        rows = torch.arange(len(similar_rn), device=similar_rn.device)
        similar_rn[rows, rows + start] = -torch.inf
        nearest = similar_rn.topk(voting, dim=1)
        votes_rnk = one_hot(label_n[nearest.indices], classes) * (nearest.values / temperature).exp().unsqueeze(2)
        right += int((votes_rnk.sum(1).argmax(1) == label_n[start : start + _ROWS]).sum())
    return right / count
