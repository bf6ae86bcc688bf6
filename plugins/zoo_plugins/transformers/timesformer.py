"""TimeSformer (Bertasius et al. 2021, https://arxiv.org/abs/2102.05095), over the classes of transformers."""

from __future__ import annotations

from typing import Annotated, Literal

from timm.layers import DropPath
from torch import Tensor
from transformers import TimesformerConfig, TimesformerForVideoClassification

from zoo_plugins.transformers.sizes import Blocks, Count, sizes
from zoo_plugins.transformers.staged import Grid, PositionTable, StagedTransformer, clip_shape, grid_of
from zoo_registry import ClipSpec, Provided, Range

Attention = Literal["divided_space_time", "joint_space_time", "space_only"]
Probability = Annotated[float, Range(ge=0, lt=1)]

_PUBLISHED: Grid = (8, 224, 224)


class TimesformerClassifier(StagedTransformer, TimesformerForVideoClassification):
    """`TimesformerForVideoClassification` with stages: the class token is classified.

    With attention over space alone the frames are a batch of pictures, and the class tokens of a clip are averaged, as
    the authors do; the library itself would answer once per frame.

    Args:
        config: the library's.
        drop_path: probability of leaving out the last block; earlier blocks in proportion.
    """

    patch = (1, 16, 16)
    embedding = ("timesformer.embeddings",)
    trunk = ("timesformer.encoder.layer",)
    norm = "timesformer.layernorm"
    answer = ("classifier",)

    def __init__(self, config: TimesformerConfig, drop_path: float = 0.0) -> None:
        TimesformerForVideoClassification.__init__(self, config)
        blocks = self.timesformer.encoder.layer
        for index, block in enumerate(blocks):
            # The library's configuration takes whole numbers for it alone.
            block.drop_path = DropPath(drop_path * index / max(1, len(blocks) - 1))
        self.grid = grid_of((config.num_frames, config.image_size, config.image_size), self.patch)
        self.by_frame = config.attention_type == "space_only"

    def position_tables(self) -> dict[str, PositionTable]:
        """One table for the picture, one for time where attention knows it."""
        frames, height, width = self.grid
        tables = {"position_embeddings": PositionTable((1, 14, 14), (1, height, width), special=1)}
        if not self.by_frame:
            tables["time_embeddings"] = PositionTable((8, 1, 1), (frames, 1, 1))
        return {f"timesformer.embeddings.{name}": table for name, table in tables.items()}

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens: the class token, then H'W'T'; by frame (B T, 1 + H'W', C')."""
        tokens: Tensor = self.timesformer.embeddings(clip_bcthw.transpose(1, 2))
        return tokens

    def as_map(self, tokens_bnc: Tensor) -> Tensor:
        """Tokens as `embed` orders them as a map (B, C, T', H', W')."""
        frames, height, width = self.grid
        if self.by_frame:
            pictures = tokens_bnc[:, 1:].unflatten(1, (height, width)).unflatten(0, (-1, frames))
            return pictures.permute(0, 4, 1, 2, 3)
        return tokens_bnc[:, 1:].unflatten(1, (height, width, frames)).permute(0, 4, 3, 1, 2)

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens (B, N, C), the class token first; by frame (B, T (1 + H'W'), C)."""
        tokens = StagedTransformer.forward_features(self, clip_bcthw)
        return tokens.unflatten(0, (-1, self.grid[0])).flatten(1, 2) if self.by_frame else tokens

    def forward_head(self, features: Tensor) -> Tensor:
        """From tokens (B, N, C) to logits (B, K)."""
        of_frames = self.grid[0] if self.by_frame else 1
        token_bc = features.unflatten(1, (of_frames, -1))[:, :, 0].mean(1)
        logits_bk: Tensor = self.classifier(token_bc)
        return logits_bk


def timesformer(
    *,
    attention: Attention,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    drop_path: Probability = 0.0,
    dropout: Probability = 0.0,
    attention_dropout: Probability = 0.0,
    width: Count = None,
    blocks: Blocks = None,
    heads: Count = None,
    mlp_width: Count = None,
) -> TimesformerClassifier:
    """A vision transformer of base size whose attention is extended to time.

    Args:
        attention: divided_space_time, joint_space_time or space_only.
        num_classes: K.
        clip: the clip spec in force; 8 frames of 224x224 when absent.
        in_channels: of the clip.
        drop_path: probability of leaving out the last block; earlier blocks in proportion.
        dropout: probability after attention, in the feed-forward layers and on positions.
        attention_dropout: probability on attention weights.
        width: of the tokens, where it is other than this size's, as published configurations may have it.
        blocks: likewise, how many.
        heads: likewise, of every attention.
        mlp_width: likewise, of the feed-forward layers.

    Returns:
        A module from normalised clips (B, C, T, H, W) of exactly that shape to logits (B, K).

    Raises:
        ParameterError: the clip cannot be cut into patches of 16x16, or is not square.
    """
    frames, side, _ = clip_shape("timesformer_b", clip, _PUBLISHED, (1, 16, 16), square=True)
    config = TimesformerConfig(
        image_size=side,
        num_frames=frames,
        num_channels=in_channels,
        attention_type=attention,
        num_labels=num_classes,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=attention_dropout,
        **sizes(width, blocks, heads, mlp_width),
    )
    return TimesformerClassifier(config, drop_path)
