"""What makes one answer of the features of many frames; parts of a `FrameEncoder`.

All take features (B, T, D) and give (B, W), but for the ConvGRU, which takes maps (B, D, T, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from zoo_plugins.video.temporal_convolution import MultiScaleTemporalConv, TemporalResidualBlock
from zoo_registry.errors import ParameterError


class TemporalAttentionPooling(nn.Module):
    """Frames weighted by how they answer a learnt question: attention of several heads with one query.

    It does not see the order of frames. Pooling by attention, Lee et al. 2019 (Set Transformer, equation 11),
    https://arxiv.org/abs/1810.00825.

    Args:
        features: D.
        width: W, of query, keys and values; a multiple of `heads`.
        heads: how many weightings lie side by side.
        dropout: probability for every weight.

    Raises:
        ParameterError: a width that cannot be divided among the heads.
    """

    def __init__(self, features: int, width: int = 512, heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        _check_heads(width, heads)
        self.query = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=0.02))
        self.project = nn.Linear(features, width)
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)

    def forward(self, features_btd: Tensor) -> Tensor:
        """Features of frames (B, T, D) to those of clips (B, W)."""
        keys_btw = self.norm(self.project(features_btd))
        query_b1w = self.query.repeat(keys_btw.shape[0], 1, 1)
        pooled_b1w: Tensor = self.attention(query_b1w, keys_btw, keys_btw, need_weights=False)[0]
        return pooled_b1w[:, 0]


class TemporalTransformer(nn.Module):
    """A transformer over frames: learnt positions, and a class token that becomes the features of the clip.

    The temporal encoder of ViViT's factorised model (Arnab et al. 2021, section 3.3, model 2),
    https://arxiv.org/abs/2103.15691; its blocks are those of ViT.

    Args:
        features: D.
        frames: T, of every clip.
        width: W, a multiple of `heads`.
        depth: number of blocks.
        heads: attention heads of each.
        dropout: probability for every output of a block's two branches.

    Raises:
        ParameterError: a width that cannot be divided among the heads.
    """

    def __init__(
        self, features: int, frames: int, width: int = 512, depth: int = 4, heads: int = 8, dropout: float = 0.0
    ) -> None:
        super().__init__()
        _check_heads(width, heads)
        self.class_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=0.02))
        self.positions = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1 + frames, width), std=0.02))
        self.project = nn.Linear(features, width)
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True, proj_drop=dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, features_btd: Tensor) -> Tensor:
        """Features of frames (B, T, D) to those of clips (B, W).

        Raises:
            ParameterError: the clips have another length than the positions.
        """
        batch, frames, _ = features_btd.shape
        if 1 + frames != self.positions.shape[1]:
            raise ParameterError(
                f"the transformer has positions for {self.positions.shape[1] - 1} frames, the clip has {frames}",
                hint=f"build it for them: data.clip.frames: {frames}",
            )
        tokens_bnw = torch.cat([self.class_token.expand(batch, -1, -1), self.project(features_btd)], 1)
        clip_bw: Tensor = self.norm(self.blocks(tokens_bnw + self.positions)[:, 0])
        return clip_bw


class TemporalConvolutions(nn.Module):
    """Residual blocks of dilated convolutions along time, then the mean over frames.

    Args:
        features: D.
        width: W.
        depth: number of blocks; each has twice the dilation of the one before it.
        kernel: frames of each convolution, an odd number.
        dropout: probability for every value of a block's branch.
    """

    def __init__(self, features: int, width: int = 512, depth: int = 3, kernel: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.project = nn.Linear(features, width)
        self.blocks = nn.Sequential(
            *(TemporalResidualBlock(width, kernel, dilation=2**level, dropout=dropout) for level in range(depth))
        )

    def forward(self, features_btd: Tensor) -> Tensor:
        """Features of frames (B, T, D) to those of clips (B, W)."""
        clip_bw: Tensor = self.blocks(self.project(features_btd).transpose(1, 2)).mean(2)
        return clip_bw


class MultiScaleConvolutions(nn.Module):
    """Residual layers that look at several time spans side by side, then the mean over frames.

    Args:
        features: D.
        width: W, a multiple of the number of kernels.
        depth: number of layers.
        kernels: frames of the spans, odd numbers.
        dropout: probability for every value of a layer's branch.

    Raises:
        ParameterError: an even kernel, or a width that is no multiple of their number.
    """

    def __init__(
        self,
        features: int,
        width: int = 510,
        depth: int = 2,
        kernels: Sequence[int] = (3, 5, 7),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(features, width)
        self.layers = nn.ModuleList(MultiScaleTemporalConv(width, kernels) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features_btd: Tensor) -> Tensor:
        """Features of frames (B, T, D) to those of clips (B, W)."""
        features_bwt = self.project(features_btd).transpose(1, 2)
        for layer in self.layers:
            features_bwt = features_bwt + self.dropout(layer(features_bwt))
        clip_bw: Tensor = features_bwt.mean(2)
        return clip_bw


class ConvGRU(nn.Module):
    """A gated recurrent unit whose states are maps and whose products are convolutions; its last state, averaged.

    Ballas et al. 2016, https://arxiv.org/abs/1511.06432, equations 4 to 7. The input is narrowed before.

    Args:
        features: D.
        width: W, channels of the state.
        kernel: height and width of the convolutions, an odd number.
    """

    def __init__(self, features: int, width: int = 256, kernel: int = 3) -> None:
        super().__init__()
        padding = kernel // 2
        self.project = nn.Conv2d(features, width, 1)
        self.input = nn.Conv2d(width, 3 * width, kernel, padding=padding)
        self.gates = nn.Conv2d(width, 2 * width, kernel, padding=padding, bias=False)
        self.candidate = nn.Conv2d(width, width, kernel, padding=padding, bias=False)

    def forward(self, map_bdthw: Tensor) -> Tensor:
        """Maps of frames (B, D, T, H, W) to features of clips (B, W)."""
        width = self.project.out_channels
        frames = map_bdthw.shape[2]
        # What comes from the input does not wait for the state: one convolution for all frames.
        inputs = self.input(self.project(map_bdthw.transpose(1, 2).flatten(0, 1))).unflatten(0, (-1, frames))
        state_bwhw = torch.zeros_like(inputs[:, 0, :width])
        for moment in inputs.unbind(1):
            update, reset = (moment[:, : 2 * width] + self.gates(state_bwhw)).sigmoid().chunk(2, 1)
            candidate = (moment[:, 2 * width :] + self.candidate(reset * state_bwhw)).tanh()
            state_bwhw = state_bwhw + update * (candidate - state_bwhw)
        return state_bwhw.mean((2, 3))


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise ParameterError(
            f"width {width} cannot be divided among {heads} heads", hint="take a multiple, such as width 512, heads 8"
        )
