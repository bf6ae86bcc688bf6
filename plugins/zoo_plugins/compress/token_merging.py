"""Merges tokens that say much the same.

Bolya et al., Token Merging: Your ViT But Faster, ICLR 2023, https://arxiv.org/abs/2210.09461, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Matching:
    """Which tokens become one; tokens of even and of odd number are two sets A and B.

    Attributes:
        merged_br: of A, those that are merged into a token of B.
        into_br: which of B, for each of them.
        left_bu: the rest of A, in order.
    """

    merged_br: Tensor
    into_br: Tensor
    left_bu: Tensor


def match(metric_bnc: Tensor, merged: int, *, class_token: bool) -> Matching:
    """Bipartite soft matching: each token of A draws an edge to the most similar of B, the likeliest edges are kept.

    Args:
        metric_bnc: what tokens are compared by, such as their keys: the cosine decides.
        merged: how many edges are kept, at most as many as A has tokens that may be merged.
        class_token: the first token is one that nothing is merged with.

    Example:
        >>> tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [1.0, 0.1]]])    # A: 0 and 2, B: 1 and 3
        >>> found = match(tokens, 1, class_token=False)
        >>> found.merged_br.tolist(), found.into_br.tolist(), found.left_bu.tolist()     # 0 is most like 3, 2 like 1
        ([[0]], [[1]], [[1]])
    """
    metric_bnc = metric_bnc / metric_bnc.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(metric_bnc.dtype).tiny)
    similar_bae = metric_bnc[:, ::2] @ metric_bnc[:, 1::2].transpose(1, 2)
    best_ba, best_of_ba = similar_bae.max(dim=-1)
    if class_token:
        first = torch.arange(best_ba.shape[1], device=best_ba.device) == 0
        best_ba = best_ba.masked_fill(first, -torch.inf)
    order_ba = best_ba.topk(best_ba.shape[1], dim=1).indices  # a sort by another name, which ONNX has
    merged_br, left_bu = order_ba[:, :merged], order_ba[:, merged:].sort(dim=1).values
    return Matching(merged_br, best_of_ba.gather(1, merged_br), left_bu)


def merge(tokens_bnc: Tensor, size_bn1: Tensor, matching: Matching) -> tuple[Tensor, Tensor]:
    """Average the tokens that a matching makes one, each counting for as many as it stands for already.

    Args:
        tokens_bnc: the tokens.
        size_bn1: how many of the first block's tokens each stands for.
        matching: see `match`.

    Returns:
        Tokens and sizes: what is left of A, then all of B.
    """
    total_bnc = _merged(tokens_bnc * size_bn1, matching)
    size_bm1 = _merged(size_bn1, matching)
    return total_bnc / size_bm1, size_bm1


def _merged(values_bnc: Tensor, matching: Matching) -> Tensor:
    """Sums instead of averages."""
    even_bac, odd_bec = values_bnc[:, ::2], values_bnc[:, 1::2]
    moved_brc = even_bac.gather(1, _wide(matching.merged_br, even_bac))
    sums_bec = odd_bec.scatter_add(1, _wide(matching.into_br, odd_bec), moved_brc)
    return torch.cat([even_bac.gather(1, _wide(matching.left_bu, even_bac)), sums_bec], dim=1)


def _wide(index_br: Tensor, like_bnc: Tensor) -> Tensor:
    return index_br[:, :, None].expand(-1, -1, like_bnc.shape[2])
