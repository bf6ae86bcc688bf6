"""How far two sets of features are from each other."""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor


def frechet_distance(one_nd: Tensor, other_nd: Tensor) -> float:
    """Squared Fréchet distance between the Gaussians of two sets of features (Heusel et al. 2017, equation 6).

    `|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))`, with unbiased covariances, computed in float64.

    Args:
        one_nd: features (N, D); at least two rows.
        other_nd: likewise, of another N.

    Returns:
        0 for equal means and covariances; NaN where a set has fewer than two rows.

    Example:
        >>> one_nd = torch.tensor([[0.0], [2.0]])                          # mean 1, variance 2
        >>> round(frechet_distance(one_nd, one_nd + 3), 6)                 # the means are 3 apart
        9.0
        >>> round(frechet_distance(one_nd, 2 * one_nd - 1), 6)             # deviations of 2 ** 0.5 and of 8 ** 0.5
        2.0
    """
    if min(len(one_nd), len(other_nd)) < 2:
        return nan
    one_nd, other_nd = one_nd.double(), other_nd.double()
    mean_square = (one_nd.mean(0) - other_nd.mean(0)).square().sum()
    one_dd, other_dd = (torch.cov(rows.T).reshape(rows.shape[1], -1) for rows in (one_nd, other_nd))
    root_dd = _root(one_dd)
    # The trace of (C C')^(1/2) is that of a symmetric matrix with the same eigenvalues.
    cross = torch.linalg.eigvalsh(root_dd @ other_dd @ root_dd).clamp(min=0).sqrt().sum()
    return float(mean_square + one_dd.trace() + other_dd.trace() - 2 * cross)


def _root(square_dd: Tensor) -> Tensor:
    """The symmetric root of a covariance; what rounding made negative is 0."""
    values_d, vectors_dd = torch.linalg.eigh(square_dd)
    root_dd: Tensor = vectors_dd * values_d.clamp(min=0).sqrt() @ vectors_dd.T
    return root_dd
