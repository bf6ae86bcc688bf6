"""Multiscale vision transformers (Fan et al. 2021, Li et al. 2022)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from math import isqrt
from typing import Annotated, Literal

from torch import Tensor
from torch.nn import Module
from torch.nn.functional import interpolate
from torchvision.models.video import MViT
from torchvision.models.video.mvit import MSBlockConfig

from zoo_plugins.chain import Checkpointed
from zoo_plugins.clip_limits import check_clip_shape
from zoo_plugins.torchvision.for_channels import for_channels
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Stage

Architecture = Literal["mvit_v1_b", "mvit_v2_s"]
Grid = tuple[int, int, int]
Probability = Annotated[float, Range(ge=0, lt=1)]

_DEPTHS = (1, 2, 11, 2)
_WIDTH = 96
"""Both published sizes: blocks by stage and channels after the patches."""


class StagedMViT(Checkpointed, MViT):
    """torchvision's `MViT` with stages, for any number of frames and size; parameter names are torchvision's.

    Args:
        architecture: mvit_v1_b or mvit_v2_s.
        num_classes: K.
        clip_shape: (T, H, W) that its tables of positions are made for.
        in_channels: of the clip.
        drop_path: probability of leaving out the last block; earlier blocks in proportion.
        dropout: probability before the last layer.
    """

    def __init__(
        self,
        architecture: Architecture,
        num_classes: int,
        clip_shape: Grid = (16, 224, 224),
        in_channels: int = 3,
        drop_path: float = 0.2,
        dropout: float = 0.5,
    ) -> None:
        second = architecture == "mvit_v2_s"
        settings = _blocks_of_v2() if second else _blocks_of_v1()
        MViT.__init__(
            self,
            spatial_size=clip_shape[1:],
            temporal_size=clip_shape[0],
            block_setting=settings,
            residual_pool=second,
            residual_with_cls_embed=False,
            rel_pos_embed=second,
            proj_after_attn=second,
            dropout=dropout,
            stochastic_depth_prob=drop_path,
            num_classes=num_classes,
        )
        self.architecture = architecture
        self.clip_shape = clip_shape
        self.widths = [block.output_channels for block in settings]
        self.conv_proj = for_channels(self.conv_proj, in_channels)
        self.head[0].inplace = False  # it would write zeros into the features, which are the caller's

    def stages(self) -> list[Stage]:
        """stem, stage1 to stage4, head."""
        stages = [Stage("stem", (("conv_proj", "pos_encoding"),), channels=_WIDTH, stride=(2, 4, 4))]
        first = 0
        for number, depth in enumerate(_DEPTHS, start=1):
            layers = [(f"blocks.{first + index}",) for index in range(depth)]
            first += depth
            if number == len(_DEPTHS):
                layers[-1] = (*layers[-1], "norm")
            side = 2 ** (number + 1)
            stages.append(Stage(f"stage{number}", tuple(layers), self.widths[first - 1], stride=(2, side, side)))
        return [*stages, Stage("head", (("head",),))]

    def no_weight_decay(self) -> set[str]:
        """The class token and all tables of positions."""
        return {name for name, _ in self.named_parameters() if name.startswith("pos_encoding.") or ".rel_pos_" in name}

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to normalised tokens (B, 1 + N, C'), the class token first."""
        tokens_bnc, grid = self._stem(clip_bcthw)
        for block in self.blocks:
            tokens_bnc, grid = self.through(block, tokens_bnc, grid, parts=(block,))
        features: Tensor = self.norm(tokens_bnc)
        return features

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """Clips (B, C, T, H, W) to the map (B, C', T', H', W') of every stage, without the class token."""
        tokens_bnc, grid = self._stem(clip_bcthw)
        maps = [_as_map(tokens_bnc, grid)]
        for stage in self.stages()[1:-1]:
            for layer in stage.layers:
                block = self.get_submodule(layer[0])
                tokens_bnc, grid = self.through(block, tokens_bnc, grid, parts=(block,))
            maps.append(_as_map(tokens_bnc, grid))
        maps[-1] = _as_map(self.norm(tokens_bnc), grid)
        return maps

    def forward_head(self, features: Tensor) -> Tensor:
        """From normalised tokens (B, 1 + N, C') to logits (B, K), by the class token alone."""
        logits_bk: Tensor = self.head(features[:, 0])
        return logits_bk

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to logits (B, K)."""
        return self.forward_head(self.forward_features(clip_bcthw))

    def _stem(self, clip_bcthw: Tensor) -> tuple[Tensor, Grid]:
        check_clip_shape(self.architecture, clip_bcthw, self.clip_shape)
        map_bcthw = self.conv_proj(clip_bcthw)
        return self.pos_encoding(map_bcthw.flatten(2).transpose(1, 2)), tuple(map_bcthw.shape[2:])


def mvit(
    *,
    architecture: Architecture,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    drop_path: Probability = 0.2,
    dropout: Probability = 0.5,
) -> StagedMViT:
    """A multiscale vision transformer, its tables of positions made for the clip.

    Args:
        architecture: mvit_v1_b or mvit_v2_s.
        num_classes: K.
        clip: the clip spec in force; 16 frames of 224x224 when absent.
        in_channels: of the clip.
        drop_path: probability of leaving out the last block; earlier blocks in proportion.
        dropout: probability before the last layer.

    Returns:
        A module from normalised clips (B, C, T, H, W) of exactly that shape to logits (B, K).

    Raises:
        ParameterError: the clip cannot be cut into patches of 2 frames of 4x4 pixels, or is smaller than 32x32.
    """
    frames, height, width = (16, 224, 224) if clip is None else (clip.frames, *clip.height_width)
    if frames % 2 or height % 4 or width % 4 or min(height, width) < 32:
        raise ParameterError(
            f"{architecture} takes an even number of frames, and multiples of 4 pixels from 32 on; "
            f"the clip has {frames} of {height}x{width}",
            hint="change frames and size in data.clip, or take torchvision/swin3d_t, which takes any clip",
        )
    return StagedMViT(architecture, num_classes, (frames, height, width), in_channels, drop_path, dropout)


def fit_positions(state: Mapping[str, Tensor], module: Module) -> dict[str, Tensor]:
    """Published tables of positions for the clip that the module was built for: interpolated, and said aloud.

    Positions in the picture by bicubic, those in time and relative ones by linear interpolation.

    Args:
        state: torchvision's state dict.
        module: a `StagedMViT`.
    """
    own, fitted = module.state_dict(), dict(state)
    changed: dict[str, str] = {}
    for key, table in state.items():
        wanted = own.get(key)
        if wanted is None or table.shape == wanted.shape or table.ndim != 2 or table.shape[1] != wanted.shape[1]:
            continue
        if key == "pos_encoding.spatial_pos":
            side, size = isqrt(len(table)), module.pos_encoding.spatial_size
            by_row = table.view(side, side, -1).permute(2, 0, 1)[None]
            fitted[key] = interpolate(by_row, size=size, mode="bicubic").flatten(2)[0].T.contiguous()
        elif key == "pos_encoding.temporal_pos" or ".attn.rel_pos_" in key:
            fitted[key] = interpolate(table.T[None], size=len(wanted), mode="linear")[0].T.contiguous()
        else:
            continue
        changed.setdefault(key.rpartition(".")[2], f"from {len(table)} to {len(wanted)}")
    if changed:
        tables = ", ".join(f"{name} {how}" for name, how in sorted(changed.items()))
        warnings.warn(f"positions interpolated for the clip: {tables}", stacklevel=2)
    return fitted


def _as_map(tokens_bnc: Tensor, grid: Grid) -> Tensor:
    return tokens_bnc[:, 1:].transpose(1, 2).unflatten(2, grid)


def _stage_of_blocks() -> list[int]:
    return [stage for stage, depth in enumerate(_DEPTHS) for _ in range(depth)]


def _blocks_of_v1() -> list[MSBlockConfig]:
    """Table 2 of Fan et al. 2021, MViT-B: the last block of a stage makes the channels of the next."""
    stages = _stage_of_blocks()
    blocks = []
    for index, stage in enumerate(stages):
        following = stages[min(index + 1, len(stages) - 1)]
        narrows = index > 0 and stage != stages[index - 1]
        blocks.append(
            MSBlockConfig(
                num_heads=2**stage,
                input_channels=_WIDTH * 2**stage,
                output_channels=_WIDTH * 2**following,
                kernel_q=[3, 3, 3] if narrows else [],
                kernel_kv=[3, 3, 3],
                stride_q=[1, 2, 2] if narrows else [],
                stride_kv=_key_stride(stage),
            )
        )
    return blocks


def _blocks_of_v2() -> list[MSBlockConfig]:
    """Section 4 of Li et al. 2022, MViTv2-S: the first block of a stage makes its channels, every query is pooled."""
    stages = _stage_of_blocks()
    blocks = []
    for index, stage in enumerate(stages):
        before = stages[max(index - 1, 0)]
        blocks.append(
            MSBlockConfig(
                num_heads=2**stage,
                input_channels=_WIDTH * 2**before,
                output_channels=_WIDTH * 2**stage,
                kernel_q=[3, 3, 3],
                kernel_kv=[3, 3, 3],
                stride_q=[1, 2, 2] if stage != before else [1, 1, 1],
                stride_kv=_key_stride(stage),
            )
        )
    return blocks


def _key_stride(stage: int) -> list[int]:
    """Keys and values are pooled to the grid of the last stage."""
    side = 2 ** (3 - stage)
    return [1, side, side]
