"""Video Swin transformers (Liu et al. 2022, https://arxiv.org/abs/2106.13230)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from torch import Tensor
from torchvision.models.video import SwinTransformer3d
from torchvision.models.video.swin_transformer import PatchEmbed3d

from zoo_plugins.chain import Chain
from zoo_registry import Provided, Range
from zoo_registry.protocols import Stage

Architecture = Literal["swin3d_t", "swin3d_s", "swin3d_b"]
Probability = Annotated[float, Range(ge=0, lt=1)]


@dataclass(frozen=True)
class _Size:
    """Width after the patches, blocks and heads by stage (table 1 of Liu et al. 2021)."""

    width: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]


_SIZES = {
    "swin3d_t": _Size(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin3d_s": _Size(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "swin3d_b": _Size(128, (2, 2, 18, 2), (4, 8, 16, 32)),
}


class StagedSwin3d(Chain, SwinTransformer3d):
    """torchvision's `SwinTransformer3d` with stages; parameters and their names are torchvision's.

    Args:
        architecture: swin3d_t, swin3d_s or swin3d_b.
        num_classes: K.
        in_channels: of the clip.
        drop_path: probability of leaving out the last block; earlier blocks in proportion.
        dropout, attention_dropout: probabilities inside the blocks.
    """

    def __init__(
        self,
        architecture: Architecture,
        num_classes: int,
        in_channels: int = 3,
        drop_path: float = 0.1,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
    ) -> None:
        size = _SIZES[architecture]
        SwinTransformer3d.__init__(
            self,
            patch_size=[2, 4, 4],
            embed_dim=size.width,
            depths=list(size.depths),
            num_heads=list(size.heads),
            window_size=[8, 7, 7],
            dropout=dropout,
            attention_dropout=attention_dropout,
            stochastic_depth_prob=drop_path,
            num_classes=num_classes,
            patch_embed=partial(PatchEmbed3d, in_channels=in_channels),
        )
        self.size = size

    def stages(self) -> list[Stage]:
        """stem, stage1 to stage4, head; a stage begins with the merging of patches before it."""
        stages = [Stage("stem", (("patch_embed", "pos_drop"),), channels=self.size.width, stride=(2, 4, 4))]
        for number, depth in enumerate(self.size.depths):
            layers = [(f"features.{2 * number}.{block}",) for block in range(depth)]
            if number:
                layers[0] = (f"features.{2 * number - 1}", *layers[0])
            if number == len(self.size.depths) - 1:
                layers[-1] = (*layers[-1], "norm")
            narrower = 2**number
            stride = (2, 4 * narrower, 4 * narrower)
            stages.append(Stage(f"stage{number + 1}", tuple(layers), self.size.width * narrower, stride))
        return [*stages, Stage("head", (("head",),))]

    def no_weight_decay(self) -> set[str]:
        """The tables of relative positions."""
        return {name for name, _ in self.named_parameters() if name.endswith("relative_position_bias_table")}

    def as_map(self, layer_output: Tensor) -> Tensor:
        """Channels, which come last between the layers, in front."""
        return layer_output.permute(0, 4, 1, 2, 3)

    def forward_head(self, features: Tensor) -> Tensor:
        """From the last map (B, C', T', H', W') to logits (B, K)."""
        logits_bk: Tensor = self.head(self.avgpool(features).flatten(1))
        return logits_bk


def swin3d(
    *,
    architecture: Architecture,
    num_classes: Provided[int],
    in_channels: Annotated[int, Range(ge=1)] = 3,
    drop_path: Probability = 0.1,
    dropout: Probability = 0.0,
    attention_dropout: Probability = 0.0,
) -> StagedSwin3d:
    """A video Swin transformer; takes clips of any length and size, padded to its windows.

    Args:
        architecture: swin3d_t, swin3d_s or swin3d_b.
        num_classes: K.
        in_channels: of the clip.
        drop_path: probability of leaving out the last block; earlier blocks in proportion.
        dropout: probability inside the blocks.
        attention_dropout: probability on attention weights.

    Returns:
        A module from normalised clips (B, C, T, H, W) to logits (B, K).
    """
    return StagedSwin3d(architecture, num_classes, in_channels, drop_path, dropout, attention_dropout)
