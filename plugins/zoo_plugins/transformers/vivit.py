"""ViViT (Arnab et al. 2021, https://arxiv.org/abs/2103.15691), over the classes of transformers."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from transformers import VivitConfig, VivitForVideoClassification

from zoo_plugins.transformers.sizes import Blocks, Count, sizes
from zoo_plugins.transformers.staged import Grid, PositionTable, StagedTransformer, clip_shape, grid_of
from zoo_registry import ClipSpec, Provided, Range

Probability = Annotated[float, Range(ge=0, lt=1)]

_PUBLISHED: Grid = (32, 224, 224)
_PATCH: Grid = (2, 16, 16)


class VivitClassifier(StagedTransformer, VivitForVideoClassification):
    """`VivitForVideoClassification` with stages: all patches of a clip see each other, the class token is classified.

    Args:
        config: the library's.
    """

    patch = _PATCH
    embedding = ("vivit.embeddings",)
    norm = "vivit.layernorm"
    answer = ("classifier",)
    # How the library named them until 5.x, and names them in the files it saves.
    renamed = (
        (r"^vivit\.encoder\.layer\.", "vivit.layers."),
        (r"\.attention\.attention\.(query|key|value)\.", lambda found: f".attention.{found[1][0]}_proj."),
        (r"\.attention\.output\.dense\.", ".attention.o_proj."),
        (r"\.intermediate\.dense\.", ".mlp.fc1."),
        (r"(\d)\.output\.dense\.", r"\1.mlp.fc2."),
    )

    def __init__(self, config: VivitConfig) -> None:
        VivitForVideoClassification.__init__(self, config)
        self.grid = grid_of((config.num_frames, *config.image_size), self.patch)

    @property
    def trunk(self) -> tuple[str, ...]:  # type: ignore[override]
        """The blocks, under either name."""
        return ("vivit.layers" if hasattr(self.vivit, "layers") else "vivit.encoder.layer",)

    def position_tables(self) -> dict[str, PositionTable]:
        """One table for all patches."""
        return {
            "vivit.embeddings.position_embeddings": PositionTable(grid_of(_PUBLISHED, _PATCH), self.grid, special=1)
        }

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens (B, 1 + N, C') with their positions, the class token first."""
        tokens_bnc: Tensor = self.vivit.embeddings(clip_bcthw.transpose(1, 2))
        return tokens_bnc

    def forward_head(self, features: Tensor) -> Tensor:
        """From tokens (B, 1 + N, C) to logits (B, K)."""
        logits_bk: Tensor = self.classifier(features[:, 0])
        return logits_bk


def vivit(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    dropout: Probability = 0.0,
    attention_dropout: Probability = 0.0,
    width: Count = None,
    blocks: Blocks = None,
    heads: Count = None,
    mlp_width: Count = None,
) -> VivitClassifier:
    """ViViT-B/16x2 with attention over all patches ("model 1").

    Args:
        num_classes: K.
        clip: the clip spec in force; 32 frames of 224x224 when absent.
        in_channels: of the clip.
        dropout: probability after attention and feed-forward layers, and on positions.
        attention_dropout: probability on attention weights.
        width: of the tokens, where it is other than this size's, as published configurations may have it.
        blocks: likewise, how many.
        heads: likewise, of every attention.
        mlp_width: likewise, of the feed-forward layers.

    Returns:
        A module from normalised clips (B, C, T, H, W) of exactly that shape to logits (B, K).

    Raises:
        ParameterError: the clip cannot be cut into patches of 2 frames of 16x16.
    """
    shape = clip_shape("vivit_b_16x2", clip, _PUBLISHED, _PATCH)
    config = VivitConfig(
        image_size=list(shape[1:]),
        num_frames=shape[0],
        num_channels=in_channels,
        num_labels=num_classes,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=attention_dropout,
        **sizes(width, blocks, heads, mlp_width),
    )
    return VivitClassifier(config)
