"""VideoPrism (Zhao et al. 2024, https://arxiv.org/abs/2402.13217), over the classes of transformers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor
from transformers import VideoPrismForVideoClassification, VideoPrismVisionConfig

from zoo_plugins.transformers.staged import Grid, PositionTable, StagedTransformer, clip_shape, grid_of
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.protocols import Stage

Probability = Annotated[float, Range(ge=0, lt=1)]

_PUBLISHED: Grid = (16, 288, 288)
_PATCH: Grid = (1, 18, 18)


class VideoPrismClassifier(StagedTransformer, VideoPrismForVideoClassification):
    """`VideoPrismForVideoClassification` with stages: blocks over space, then over time, then attentive pooling.

    Args:
        config: the library's.
    """

    patch = _PATCH
    embedding = ("vision_model.spatial_embeddings",)
    trunk = ("vision_model.spatial_layers", "vision_model.temporal_layers")
    norm = "vision_model.layernorm2"
    answer = ("head", "head_layernorm", "classifier")
    renamed = ((r"^(spatial_|temporal_|layernorm[12]\.)", r"vision_model.\1"),)

    def __init__(self, config: VideoPrismVisionConfig) -> None:
        VideoPrismForVideoClassification.__init__(self, config)
        self.grid = grid_of((config.num_frames, *config.image_size), self.patch)

    def position_tables(self) -> dict[str, PositionTable]:
        """One table for the picture, one for time."""
        frames, height, width = self.grid
        _, published_height, published_width = grid_of(_PUBLISHED, _PATCH)
        picture = PositionTable((1, published_height, published_width), (1, height, width))
        return {
            "vision_model.spatial_embeddings.position_embeddings": picture,
            "vision_model.temporal_embeddings.position_embeddings": PositionTable((16, 1, 1), (frames, 1, 1)),
        }

    def completed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the encoder alone have no pooling: it keeps its random values, which a warning says."""
        pooling = {key: value for key, value in self.state_dict().items() if key.startswith("head")}
        if not pooling.keys() & state.keys() and "classifier.weight" not in state:
            warnings.warn("the weights are of the encoder alone: its attentive pooling starts at random", stacklevel=3)
            state |= pooling
        return state

    def stages(self) -> list[Stage]:
        """stem, block1 to block16, head; what turns from space to time belongs to the first block over time."""
        stages = StagedTransformer.stages(self)
        turn = 1 + len(self.vision_model.spatial_layers)
        names = ("vision_model.layernorm1", "vision_model.temporal_embeddings", *stages[turn].layers[0])
        stages[turn] = replace(stages[turn], layers=(names,))
        return stages

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens by frame (B T, N, C')."""
        tokens: Tensor = self.vision_model.spatial_embeddings(clip_bcthw.transpose(1, 2))
        return tokens

    def through_blocks(self, tokens: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """Tokens by frame (B T, N, C) after the last block; those in `seen` too, though later blocks go by place."""
        seen = [] if seen is None else seen
        for block in self.vision_model.spatial_layers:
            tokens = self.through(block, tokens)
            seen.append(tokens)
        clips, frames = len(tokens) // self.grid[0], self.grid[0]
        tokens = self.vision_model.layernorm1(tokens)
        tokens = self.vision_model.temporal_embeddings(tokens, torch.Size((clips, frames, *tokens.shape[1:], 1)))
        last = len(self.vision_model.temporal_layers) - 1
        for index, block in enumerate(self.vision_model.temporal_layers):
            tokens = self.through(block, tokens)
            done = self.vision_model.layernorm2(tokens) if index == last else tokens
            seen.append(done.unflatten(0, (clips, -1)).transpose(1, 2).flatten(0, 1))
        return seen[-1]

    def as_map(self, tokens_bnc: Tensor) -> Tensor:
        """Tokens by frame (B T, N, C) as a map (B, C, T', H', W')."""
        return tokens_bnc.unflatten(1, self.grid[1:]).unflatten(0, (-1, self.grid[0])).permute(0, 4, 1, 2, 3)

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens (B, T N, C)."""
        return StagedTransformer.forward_features(self, clip_bcthw).unflatten(0, (-1, self.grid[0])).flatten(1, 2)

    def forward_head(self, features: Tensor) -> Tensor:
        """From tokens (B, T N, C) to logits (B, K)."""
        logits_bk: Tensor = self.classifier(self.head_layernorm(self.head(features)[0]).squeeze(1))
        return logits_bk


def videoprism(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    dropout: Probability = 0.0,
    attention_dropout: Probability = 0.0,
) -> VideoPrismClassifier:
    """VideoPrism of size B with attentive pooling and a linear classifier.

    Args:
        num_classes: K.
        clip: the clip spec in force; 16 frames of 288x288 when absent.
        in_channels: of the clip.
        dropout: probability after attention and feed-forward layers, and on positions.
        attention_dropout: probability on attention weights.

    Returns:
        A module from clips (B, C, T, H, W) in 0..1 of exactly that shape to logits (B, K).

    Raises:
        ParameterError: the clip cannot be cut into patches of 18x18.
    """
    shape = clip_shape("videoprism_b", clip, _PUBLISHED, _PATCH)
    config = VideoPrismVisionConfig(
        image_size=list(shape[1:]),
        num_frames=shape[0],
        num_channels=in_channels,
        num_labels=num_classes,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=attention_dropout,
    )
    return VideoPrismClassifier(config)
