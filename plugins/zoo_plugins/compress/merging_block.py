"""A transformer block that attends, merges tokens, and goes on with fewer.

The blocks of the library attend and transform in one go, so they are taken apart here: the parts stay the library's,
with their names, only their order of work is written again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_plugins.compress.token_merging import match, merge

Parts = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Family:
    """How blocks of one kind work: pre-norm, attention, pre-norm, feed-forward.

    Attributes:
        name: of the library's class.
        heads: `(block) -> int`.
        project: `(block, normalised tokens) -> queries, keys and values`, (B, N, C) each.
        attended: `(block, what the heads said) -> what is added to the tokens`.
        transformed: `(block, normalised tokens) -> what is added to the tokens`.
        dropout: `(block) -> float`, probability on attention weights in training.
    """

    name: str
    heads: Callable[[Any], int]
    project: Callable[[Any, Tensor], Parts]
    attended: Callable[[Any, Tensor], Tensor]
    transformed: Callable[[Any, Tensor], Tensor]
    dropout: Callable[[Any], float]


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "VideoMAELayer",
            heads=lambda block: int(block.attention.attention.num_attention_heads),
            project=lambda block, x: (
                block.attention.attention.query(x),
                block.attention.attention.key(x),
                block.attention.attention.value(x),
            ),
            attended=lambda block, x: block.attention.output(x, x),
            transformed=lambda block, x: block.output.dropout(block.output.dense(block.intermediate(x))),
            dropout=lambda block: float(block.attention.attention.dropout_prob),
        ),
        Family(
            "VivitLayer",
            heads=lambda block: int(block.attention.num_attention_heads),
            project=lambda block, x: (block.attention.q_proj(x), block.attention.k_proj(x), block.attention.v_proj(x)),
            attended=lambda block, x: block.dropout(block.attention.o_proj(x)),
            transformed=lambda block, x: block.dropout(block.mlp(x)),
            dropout=lambda block: float(block.attention.attention_dropout),
        ),
        Family(
            "TimesformerLayer",
            heads=lambda block: int(block.attention.attention.num_heads),
            project=lambda block, x: block.attention.attention.qkv(x).chunk(3, dim=-1),
            attended=lambda block, x: block.drop_path(block.attention.output(x)),
            transformed=lambda block, x: block.drop_path(block.output(block.intermediate(x))),
            dropout=lambda block: float(block.attention.attention.attn_drop.p),
        ),
    )
}


class MergingBlock(nn.Module):
    """Takes the place of a block, with its parts under their names.

    How many tokens each stands for travels with them from block to block, as one channel more; so nothing is kept
    between calls.

    Args:
        block: of one of the `FAMILIES`.
        merged: how many tokens fewer leave than enter.
        class_token: the first token is never merged.
        sized: tokens enter with their sizes: a block before this one merges.
        last: they leave without.
        averaged: what follows the last block takes the mean of all tokens: they leave such that it is that of the
            tokens they stand for.
    """

    def __init__(
        self, block: nn.Module, merged: int, *, class_token: bool, sized: bool, last: bool, averaged: bool
    ) -> None:
        super().__init__()
        for name, part in block.named_children():
            self.add_module(name, part)
        self.family = type(block).__name__
        self.merged, self.class_token, self.sized = merged, class_token, sized
        self.last, self.averaged = last, averaged
        self.training = block.training

    def extra_repr(self) -> str:
        """What it adds to the library's block."""
        return f"{self.family}, merged={self.merged}"

    def forward(self, tokens: Tensor, *arguments: Any) -> Tensor:
        """Tokens (B, N, C) to (B, N - merged, C), with sizes C + 1."""
        family = FAMILIES[self.family]
        size_bn1 = tokens[..., -1:] if self.sized else None
        tokens = tokens[..., :-1] if self.sized else tokens
        said, keys_bnc = self._attend(family, self.layernorm_before(tokens), size_bn1)
        tokens = tokens + family.attended(self, said)
        if self.merged:
            size_bn1 = torch.ones_like(tokens[..., :1]) if size_bn1 is None else size_bn1
            matching = match(keys_bnc, self.merged, class_token=self.class_token)
            tokens, size_bn1 = merge(tokens, size_bn1, matching)
        tokens = tokens + family.transformed(self, self.layernorm_after(tokens))
        if size_bn1 is None:
            return tokens
        if not self.last:
            return torch.cat([tokens, size_bn1], dim=-1)
        return tokens * (size_bn1 / size_bn1.mean(1, keepdim=True)) if self.averaged else tokens

    def _attend(self, family: Family, tokens_bnc: Tensor, size_bn1: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attention in which a token counts for as many as it stands for (section 3, "Tracking Token Size").

        Returns:
            What the heads said (B, N, C), and the keys (B, N, C / heads), the mean of the heads.
        """
        heads = family.heads(self)
        queries, keys, values = (
            part.unflatten(2, (heads, -1)).transpose(1, 2) for part in family.project(self, tokens_bnc)
        )
        counts_b11n = None if size_bn1 is None else size_bn1.log().transpose(1, 2)[:, None].to(queries.dtype)
        said = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=counts_b11n, dropout_p=family.dropout(self) if self.training else 0.0
        )
        return said.transpose(1, 2).flatten(2), keys.mean(1)
