"""V-JEPA 2 (Assran et al. 2025, https://arxiv.org/abs/2506.09985), over the classes of transformers."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor, nn
from transformers import VJEPA2Config, VJEPA2ForVideoClassification, VJEPA2Model

from zoo_plugins.transformers.staged import Grid, StagedTransformer, clip_shape, grid_of
from zoo_registry import ClipSpec, Provided, Range

Probability = Annotated[float, Range(ge=0, lt=1)]

_PATCH: Grid = (2, 16, 16)


class VJEPA2Classifier(StagedTransformer, VJEPA2Model):
    """`VJEPA2Model` with a linear layer on the mean of its tokens.

    The predictor of pre-training is kept, since published weights have it; it does not learn, and has no part in the
    answer.

    Args:
        config: the library's.

    Positions are rotations, so that there is no table to fit to another clip.
    """

    patch = _PATCH
    embedding = ("encoder.embeddings",)
    trunk = ("encoder.layer",)
    norm = "encoder.layernorm"
    answer = ("predictor", "classifier")

    def __init__(self, config: VJEPA2Config) -> None:
        VJEPA2Model.__init__(self, config)
        self.predictor.requires_grad_(False)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        nn.init.trunc_normal_(self.classifier.weight, std=config.initializer_range)
        nn.init.zeros_(self.classifier.bias)
        self.grid = _grid(config)

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens (B, N, C')."""
        tokens_bnc: Tensor = self.encoder.embeddings(clip_bcthw.transpose(1, 2))
        return tokens_bnc

    def forward_head(self, features: Tensor) -> Tensor:
        """From tokens (B, N, C) to logits (B, K)."""
        logits_bk: Tensor = self.classifier(features.mean(1))
        return logits_bk


class VJEPA2Attentive(StagedTransformer, VJEPA2ForVideoClassification):
    """`VJEPA2ForVideoClassification` with stages: a small transformer pools the tokens with a learnt query.

    The predictor of pre-training is kept, since published weights have it; it does not learn, and has no part in the
    answer.

    Args:
        config: the library's.
    """

    patch = _PATCH
    embedding = ("vjepa2.encoder.embeddings",)
    trunk = ("vjepa2.encoder.layer",)
    norm = "vjepa2.encoder.layernorm"
    answer = ("vjepa2.predictor", "pooler", "classifier")

    def __init__(self, config: VJEPA2Config) -> None:
        VJEPA2ForVideoClassification.__init__(self, config)
        self.vjepa2.predictor.requires_grad_(False)
        self.grid = _grid(config)

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens (B, N, C')."""
        tokens_bnc: Tensor = self.vjepa2.encoder.embeddings(clip_bcthw.transpose(1, 2))
        return tokens_bnc

    def forward_head(self, features: Tensor) -> Tensor:
        """From tokens (B, N, C) to logits (B, K)."""
        logits_bk: Tensor = self.classifier(self.pooler(features))
        return logits_bk


def vjepa2(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    drop_path: Probability = 0.0,
    attention_dropout: Probability = 0.0,
) -> VJEPA2Classifier:
    """V-JEPA 2's encoder of size L with a linear classifier, for fine-tuning the weights of pre-training.

    Args:
        num_classes: K.
        clip: the clip spec in force; 64 frames of 256x256 when absent.
        in_channels: of the clip.
        drop_path: probability of leaving out the last block; earlier blocks in proportion.
        attention_dropout: probability on attention weights.

    Returns:
        A module from normalised clips (B, C, T, H, W) of exactly that shape to logits (B, K).

    Raises:
        ParameterError: the clip cannot be cut into patches of 2 frames of 16x16, or is not square.
    """
    shape = clip_shape("vjepa2_l", clip, (64, 256, 256), _PATCH, square=True)
    return VJEPA2Classifier(_config(shape, in_channels, num_classes, drop_path, attention_dropout))


def vjepa2_attentive(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    drop_path: Probability = 0.0,
    attention_dropout: Probability = 0.0,
) -> VJEPA2Attentive:
    """V-JEPA 2's encoder of size L with the attentive pooling that its authors classify with.

    Args:
        num_classes: K.
        clip: the clip spec in force; 16 frames of 256x256 when absent.
        in_channels: of the clip.
        drop_path: probability of leaving out the last block; earlier blocks in proportion.
        attention_dropout: probability on attention weights.

    Returns:
        A module from normalised clips (B, C, T, H, W) of exactly that shape to logits (B, K).

    Raises:
        ParameterError: the clip cannot be cut into patches of 2 frames of 16x16, or is not square.
    """
    shape = clip_shape("vjepa2_l_attentive", clip, (16, 256, 256), _PATCH, square=True)
    return VJEPA2Attentive(_config(shape, in_channels, num_classes, drop_path, attention_dropout))


def _config(
    shape: Grid, in_channels: int, num_classes: int, drop_path: float, attention_dropout: float
) -> VJEPA2Config:
    settings: dict[str, Any] = {"frames_per_clip": shape[0], "crop_size": shape[1], "in_chans": in_channels}
    return VJEPA2Config(
        **settings,
        num_labels=num_classes,
        drop_path_rate=drop_path,
        attention_probs_dropout_prob=attention_dropout,
        attention_dropout=attention_dropout,
    )


def _grid(config: VJEPA2Config) -> Grid:
    return grid_of((config.frames_per_clip, config.crop_size, config.crop_size), _PATCH)
