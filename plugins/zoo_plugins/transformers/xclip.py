"""X-CLIP (Ni et al. 2022, https://arxiv.org/abs/2208.02816), over the classes of transformers.

Classes are known by their names: each has an embedding of its text, which every clip refines before it is compared.
Here these embeddings are the rows of the last layer, so that a model can start from random ones and be trained like any
other, or get them from the text encoder, for classes that it was never trained on:

    model.network.set_labels(tokenizer(["juggling", "skiing"], padding="max_length", max_length=77,
                                       return_tensors="pt").input_ids)

The tokenizer's files are in the repository of the published weights; nothing here fetches them.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import XCLIPConfig, XCLIPModel

from zoo_plugins.transformers.staged import Grid, PositionTable, StagedTransformer, clip_shape, grid_of
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError

Probability = Annotated[float, Range(ge=0, lt=1)]

_PUBLISHED: Grid = (8, 224, 224)


class XCLIPZeroShot(StagedTransformer, XCLIPModel):
    """`XCLIPModel` that compares clips with the texts of its classes, whose embeddings are its last layer.

    The text encoder makes them in `set_labels`; it has no part in `forward` and does not learn.

    Args:
        config: the library's.
        num_classes: K.
    """

    patch = (1, 32, 32)
    embedding = ("vision_model.embeddings", "vision_model.pre_layernorm")
    trunk = ("vision_model.encoder.layers",)
    answer = (
        "vision_model.post_layernorm", "visual_projection", "mit", "prompts_visual_layernorm",
        "prompts_visual_projection", "prompts_generator", "logit_scale", "text_model", "text_projection", "classifier",
    )  # fmt: skip

    def __init__(self, config: XCLIPConfig, num_classes: int) -> None:
        XCLIPModel.__init__(self, config)
        self.text_model.requires_grad_(False)
        self.text_projection.requires_grad_(False)
        self.classifier = nn.Linear(config.projection_dim, num_classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=config.projection_dim**-0.5)
        for embeddings in (self.vision_model.embeddings, self.text_model.embeddings):
            # No weights have it, and a network built on the meta device gets everything from weights.
            embeddings.position_ids = torch.arange(embeddings.position_embedding.num_embeddings, device="cpu")[None]
        vision = config.vision_config
        self.grid = grid_of((vision.num_frames, vision.image_size, vision.image_size), self.patch)

    @property
    def width(self) -> int:
        """Channels of a frame's tokens."""
        width: int = self.config.vision_config.hidden_size
        return width

    def position_tables(self) -> dict[str, PositionTable]:
        """One table for the picture, one for time."""
        frames, height, width = self.grid
        return {
            "vision_model.embeddings.position_embedding.weight": PositionTable(
                (1, 7, 7), (1, height, width), special=1
            ),
            "mit.position_embedding": PositionTable((8, 1, 1), (frames, 1, 1)),
        }

    @torch.no_grad()
    def set_labels(self, tokens_kl: Tensor) -> None:
        """Make the rows of the last layer from the names of the classes, in the order of the outputs.

        Args:
            tokens_kl: (K, L) token ids by the tokenizer of the published weights, at most 77 a name, padded after the
                end-of-text token.

        Raises:
            ParameterError: there are not as many names as outputs.
        """
        if len(tokens_kl) != self.classifier.out_features:
            raise ParameterError(
                f"{len(tokens_kl)} names for {self.classifier.out_features} outputs",
                hint=f"build it with num_classes={len(tokens_kl)}",
            )
        pooled = self.text_model(input_ids=tokens_kl).pooler_output
        self.classifier.weight.copy_(self.text_projection(pooled))

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens by frame (B T, 1 + N, C')."""
        frames = clip_bcthw.transpose(1, 2).flatten(0, 1)
        tokens: Tensor = self.vision_model.pre_layernorm(self.vision_model.embeddings(frames))
        return tokens

    def block_arguments(self) -> tuple[None]:
        """Its blocks want to be told that no token is masked."""
        return (None,)

    def as_map(self, tokens_bnc: Tensor) -> Tensor:
        """Tokens by frame (B T, 1 + N, C) as a map (B, C, T', H', W')."""
        pictures = tokens_bnc[:, 1:].unflatten(1, self.grid[1:]).unflatten(0, (-1, self.grid[0]))
        return pictures.permute(0, 4, 1, 2, 3)

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens (B, T (1 + N), C), each frame's class token first."""
        return StagedTransformer.forward_features(self, clip_bcthw).unflatten(0, (-1, self.grid[0])).flatten(1, 2)

    def forward_head(self, features: Tensor) -> Tensor:
        """From tokens (B, T (1 + N), C) to scaled cosines (B, K) of the clip with the text of every class."""
        tokens_btnc = features.unflatten(1, (self.grid[0], -1))
        of_frames = self.visual_projection(self.vision_model.post_layernorm(tokens_btnc[:, :, 0]))
        clip_bd = self.mit(of_frames).pooler_output
        seen = self.prompts_visual_layernorm(tokens_btnc[:, :, 1:]) @ self.prompts_visual_projection
        text_bkd = self.classifier.weight.expand(len(features), -1, -1)
        text_bkd = text_bkd + self.prompts_generator(text_bkd, seen.mean(1))
        cosines_bk = (normalize(text_bkd, dim=-1) @ normalize(clip_bd, dim=-1)[:, :, None]).squeeze(2)
        return self.logit_scale.exp() * cosines_bk


def xclip(
    *,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    drop_path: Probability = 0.0,
    attention_dropout: Probability = 0.0,
) -> XCLIPZeroShot:
    """X-CLIP of size B with patches of 32x32: clips compared with the names of the classes.

    Args:
        num_classes: K.
        clip: the clip spec in force; 8 frames of 224x224 when absent.
        in_channels: of the clip.
        drop_path: probability of leaving out what frames tell each other, in every block.
        attention_dropout: probability on attention weights of frames.

    Returns:
        A module from normalised clips (B, C, T, H, W) of exactly that shape to logits (B, K). Its `set_labels` makes
        the classes from token ids of their names.

    Raises:
        ParameterError: the clip cannot be cut into patches of 32x32, or is not square.
    """
    frames, side, _ = clip_shape("xclip_b_32", clip, _PUBLISHED, (1, 32, 32), square=True)
    config = XCLIPConfig(
        initializer_range=0.02,  # where it is not said, the library draws fresh weights with a deviation of 1
        vision_config={
            "num_frames": frames,
            "image_size": side,
            "num_channels": in_channels,
            "attention_dropout": attention_dropout,
            "drop_path_rate": drop_path,
        },
    )
    return XCLIPZeroShot(config, num_classes)
