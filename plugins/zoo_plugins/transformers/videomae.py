"""VideoMAE (Tong et al. 2022, https://arxiv.org/abs/2203.12602), over the classes of transformers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEForVideoClassification
from transformers.models.videomae.modeling_videomae import VideoMAEModel

from zoo_plugins.transformers.sizes import Blocks, Count, sizes
from zoo_plugins.transformers.staged import Grid, StagedTransformer, clip_shape, grid_of
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError

Size = Literal["s", "b", "l"]
Probability = Annotated[float, Range(ge=0, lt=1)]

_PUBLISHED: Grid = (16, 224, 224)
_PATCH: Grid = (2, 16, 16)
_SIZES: Mapping[Size, tuple[int, int, int, int]] = {
    "s": (384, 12, 6, 4),
    "b": (768, 12, 12, 4),
    "l": (1024, 24, 16, 12),
}
"""Width, blocks and heads of the encoder, and blocks of the decoder."""
# q_bias and v_bias: what the library had before queries and values got biases of their own.
_RENAMED = ((r"\.attention\.attention\.q_bias$", ".attention.attention.query.bias"),
            (r"\.attention\.attention\.v_bias$", ".attention.attention.value.bias"))  # fmt: skip


class VideoMAEClassifier(StagedTransformer, VideoMAEForVideoClassification):
    """`VideoMAEForVideoClassification` with stages: the mean of all tokens, normalised, is classified.

    Args:
        config: the library's.

    Example:
        >>> config = VideoMAEConfig(image_size=[32, 32], num_frames=4, hidden_size=32, num_hidden_layers=2,
        ...                         num_attention_heads=2, intermediate_size=64, num_labels=5)
        >>> VideoMAEClassifier(config)(torch.zeros(1, 3, 4, 32, 32)).shape
        torch.Size([1, 5])
    """

    patch = _PATCH
    embedding = ("videomae.embeddings",)
    trunk = ("videomae.encoder.layer",)
    answer = ("fc_norm", "classifier")
    renamed = _RENAMED
    unused = ("decoder.", "encoder_to_decoder.", "mask_token", "videomae.layernorm.")

    def __init__(self, config: VideoMAEConfig) -> None:
        VideoMAEForVideoClassification.__init__(self, _of_one_patch(config))
        self.grid = _for_clip(self.videomae, config)

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens (B, N, C') with their positions."""
        return _embedded(self.videomae, clip_bcthw)

    def forward_head(self, features: Tensor) -> Tensor:
        """From tokens (B, N, C) to logits (B, K)."""
        logits_bk: Tensor = self.classifier(self.fc_norm(features.mean(1)))
        return logits_bk

    def completed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of pre-training have no norm before the classifier: it starts as one that does nothing."""
        _say_fixed_positions(self.grid)
        if "fc_norm.weight" not in state and "classifier.weight" not in state:
            state["fc_norm.weight"] = torch.ones(self.width)
            state["fc_norm.bias"] = torch.zeros(self.width)
        return state


class VideoMAEPretraining(StagedTransformer, VideoMAEForPreTraining):
    """`VideoMAEForPreTraining` with stages: sees a tenth of the patches and paints the others.

    Its inputs are a clip and which patches are masked, as many in every sample. Without the latter the same patches of
    every clip are masked, those of `mask_1n`: what it is judged, drawn and counted with.

    Args:
        config: the library's.
        masked: how many of the patches are masked, the same of every frame.

    Attributes:
        masked: likewise.
        mask_1n: (1, N) bool, patches in the order T', H', W'.
    """

    patch = _PATCH
    embedding = ("videomae.embeddings",)
    trunk = ("videomae.encoder.layer",)
    answer = ("encoder_to_decoder", "mask_token", "decoder")
    renamed = _RENAMED

    def __init__(self, config: VideoMAEConfig, masked: int) -> None:
        VideoMAEForPreTraining.__init__(self, _of_one_patch(config))
        self.grid = _for_clip(self.videomae, config)
        self.position_embeddings = _positions(self.grid, config.decoder_hidden_size)
        self.masked = masked
        self.mask_1n = tubes(1, self.grid, masked, torch.Generator().manual_seed(0))

    @property
    def norm(self) -> str | None:  # type: ignore[override]
        """What the published encoders have after their last block."""
        return None if self.videomae.layernorm is None else "videomae.layernorm"

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to all their tokens (B, N, C') with their positions."""
        return _embedded(self.videomae, clip_bcthw)

    def forward_features(self, clip_bcthw: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """What the decoder gets: the encoded visible tokens, then a mask token for each masked one, with positions.

        Args:
            clip_bcthw: normalised clips (B, C, T, H, W).
            mask_bn: (B, N) bool, True where a patch is masked; patches in the order T', H', W'. `mask_1n` by default.

        Returns:
            Tokens (B, N, D), the masked ones last.
        """
        if mask_bn is None:
            mask_bn = self.mask_1n.to(clip_bcthw.device).expand(len(clip_bcthw), -1)
        order_bn = mask_bn.byte().argsort(dim=1, stable=True)  # visible ones first, in their order
        visible_bv, masked_bm = order_bn.tensor_split([order_bn.shape[1] - self.masked], dim=1)
        tokens = self.through_blocks(_picked(self.embed(self.checked(clip_bcthw)), visible_bv))
        positions_1nd = self.position_embeddings.to(tokens)
        seen = self.encoder_to_decoder(tokens) + positions_1nd[0][visible_bv]
        return torch.cat([seen, self.mask_token + positions_1nd[0][masked_bm]], dim=1)

    def forward_head(self, features: Tensor) -> Tensor:
        """From the decoder's tokens (B, N, D) to the pixels (B, M, 1536) of the masked patches."""
        pixels_bmp: Tensor = self.decoder(features, self.masked).logits
        return pixels_bmp

    def forward(self, clip_bcthw: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """Clips and masks, see `forward_features`, to the pixels (B, M, 1536) of the masked patches."""
        return self.forward_head(self.forward_features(clip_bcthw, mask_bn))

    def forward_pyramid(self, clip_bcthw: Tensor, mask_bn: Tensor | None = None) -> list[Tensor]:
        """The encoder's maps (B, C', T', H', W') of the whole clip; a mask is not looked at."""
        return StagedTransformer.forward_pyramid(self, clip_bcthw)

    def draw_mask(self, count: int, device: torch.device | str) -> Tensor:
        """Tubes of masked patches (B, N), others in every sample, from torch's generator of the device."""
        return tubes(count, self.grid, self.masked, device=device)

    def target(self, clip01_bcthw: Tensor, mask_bn: Tensor) -> Tensor:
        """What `forward` should say: the masked patches, each normalised by its own mean and deviation by channel.

        Args:
            clip01_bcthw: clips (B, C, T, H, W) in 0..1.
            mask_bn: as for `forward_features`.

        Returns:
            (B, M, 1536); along the last axis frames, rows, columns, then channels.
        """
        patches_bnpc = self._patches(clip01_bcthw)
        mean, spread = _mean_and_spread(patches_bnpc)
        return _masked(((patches_bnpc - mean) / spread).flatten(2), mask_bn, self.masked)

    def painted(self, clip01_bcthw: Tensor, mask_bn: Tensor, pixels_bmp: Tensor | None = None) -> Tensor:
        """The clips with what `forward` said in place of the masked patches, in their own mean and deviation.

        Args:
            clip01_bcthw: clips (B, C, T, H, W) in 0..1.
            mask_bn: as for `forward_features`.
            pixels_bmp: what `forward` said; grey when None.
        """
        patches_bnpc = self._patches(clip01_bcthw)
        said_bnpc = torch.full_like(patches_bnpc, 0.5)
        if pixels_bmp is not None:
            mean, spread = _mean_and_spread(patches_bnpc)
            said_bnpc[mask_bn] = pixels_bmp.to(patches_bnpc).flatten(0, 1).unflatten(1, (-1, patches_bnpc.shape[3]))
            said_bnpc = said_bnpc * spread + mean
        seen_bnpc = torch.where(mask_bn[:, :, None, None], said_bnpc, patches_bnpc)
        blocks = seen_bnpc.unflatten(1, self.grid).unflatten(4, self.patch)  # B T' H' W' t h w C
        return blocks.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def _patches(self, clip_bcthw: Tensor) -> Tensor:
        """Clips as patches (B, N, P, C): in each frames, rows and columns, then channels."""
        steps = [size for pair in zip(self.grid, self.patch, strict=True) for size in pair]
        patches = clip_bcthw.unflatten(4, steps[4:]).unflatten(3, steps[2:4]).unflatten(2, steps[:2])
        return patches.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4, 6).flatten(1, 3)

    def completed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Nothing to add; says where positions are not those of the published weights."""
        _say_fixed_positions(self.grid)
        return state


def tubes(
    count: int,
    grid: Grid,
    masked: int,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Masks (B, N) that hide the same patches of every frame (Tong et al. 2022, section 3.3).

    Example:
        >>> tubes(2, (4, 3, 3), masked=4 * 7).unflatten(1, (4, 9))[:, 0].sum(1)
        tensor([7, 7])
    """
    frames, height, width = grid
    order_bn = torch.rand(count, height * width, generator=generator, device=device).argsort(dim=1)
    return (order_bn < masked // frames).repeat(1, frames)


def videomae(
    *,
    size: Size,
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    dropout: Probability = 0.0,
    attention_dropout: Probability = 0.0,
    width: Count = None,
    blocks: Blocks = None,
    heads: Count = None,
    mlp_width: Count = None,
) -> VideoMAEClassifier:
    """VideoMAE's encoder, fine-tuned for classification.

    Args:
        size: s, b or l: a vision transformer of that size.
        num_classes: K.
        clip: the clip spec in force; 16 frames of 224x224 when absent.
        in_channels: of the clip.
        dropout: probability after attention and in the feed-forward layers.
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
    shape = clip_shape(f"videomae_{size}", clip, _PUBLISHED, _PATCH)
    config = configuration(
        size, shape, in_channels, use_mean_pooling=True, num_labels=num_classes, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=attention_dropout, **sizes(width, blocks, heads, mlp_width),
    )  # fmt: skip
    return VideoMAEClassifier(config)


def videomae_pretraining(
    *,
    size: Size,
    clip: Provided[ClipSpec | None] = None,
    in_channels: Annotated[int, Range(ge=1)] = 3,
    mask_ratio: Annotated[float, Range(gt=0, lt=1)] = 0.9,
    final_norm: bool = True,
    width: Count = None,
    blocks: Blocks = None,
    heads: Count = None,
    mlp_width: Count = None,
    decoder_width: Count = None,
    decoder_blocks: Blocks = None,
    decoder_heads: Count = None,
) -> VideoMAEPretraining:
    """VideoMAE's encoder and decoder, to be trained without labels.

    Args:
        size: s, b or l: a vision transformer of that size.
        clip: the clip spec in force; 16 frames of 224x224 when absent.
        in_channels: of the clip.
        mask_ratio: share of a frame's patches that is masked, rounded down.
        final_norm: whether the encoder ends in a norm, as those of the published weights do.
        width: of the tokens, where it is other than this size's.
        blocks: likewise, how many.
        heads: likewise, of every attention.
        mlp_width: likewise, of the feed-forward layers.
        decoder_width: likewise, of the decoder's tokens; its feed-forward layers have four times as many.
        decoder_blocks: likewise, how many the decoder has.
        decoder_heads: likewise, of every attention of the decoder.

    Returns:
        A module from normalised clips (B, C, T, H, W), and where wanted masks (B, N), to the pixels (B, M, 1536) of the
        M masked of N patches.

    Raises:
        ParameterError: the clip cannot be cut into patches, or no patch of a frame is masked, or all are.
    """
    shape = clip_shape(f"videomae_{size}_pretraining", clip, _PUBLISHED, _PATCH)
    frames, rows, columns = grid_of(shape, _PATCH)
    of_frame = int(mask_ratio * rows * columns)
    if not 0 < of_frame < rows * columns:
        raise ParameterError(
            f"a mask_ratio of {mask_ratio} masks {of_frame} of the {rows * columns} patches of a frame",
            hint="some have to be masked and some seen: change mask_ratio, or take larger frames",
        )
    decoder = {
        "decoder_hidden_size": decoder_width,
        "decoder_intermediate_size": decoder_width and 4 * decoder_width,
        "decoder_num_hidden_layers": decoder_blocks,
        "decoder_num_attention_heads": decoder_heads,
    }
    given = {name: value for name, value in decoder.items() if value is not None}
    config = configuration(
        size, shape, in_channels, use_mean_pooling=not final_norm,
        **sizes(width, blocks, heads, mlp_width), **given,
    )  # fmt: skip
    return VideoMAEPretraining(config, frames * of_frame)


def configuration(size: Size, shape: Grid, in_channels: int, **more: Any) -> VideoMAEConfig:
    """The library's configuration of a size with a name, for clips (T, H, W), with whatever is given besides."""
    width, blocks, heads, decoder_blocks = _SIZES[size]
    own = {
        "hidden_size": width,
        "num_hidden_layers": blocks,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
        "decoder_hidden_size": width // 2,
        "decoder_num_attention_heads": heads // 2,
        "decoder_num_hidden_layers": decoder_blocks,
        "decoder_intermediate_size": 2 * width,
    }
    return VideoMAEConfig(image_size=list(shape[1:]), num_frames=shape[0], num_channels=in_channels, **{**own, **more})


def _of_one_patch(config: VideoMAEConfig) -> VideoMAEConfig:
    """The same for the smallest clip: the library computes its tables of positions in a loop, for seconds."""
    small = deepcopy(config)
    small.num_frames, small.image_size = _PATCH[0], list(_PATCH[1:])
    return small


def _for_clip(encoder: VideoMAEModel, config: VideoMAEConfig) -> Grid:
    """Make an encoder of one patch one for the clip of a configuration; returns how many patches that has."""
    grid = grid_of((config.num_frames, *config.image_size), _PATCH)
    encoder.config.num_frames, encoder.config.image_size = config.num_frames, config.image_size
    patches = encoder.embeddings.patch_embeddings
    patches.image_size, patches.num_patches = tuple(config.image_size), math.prod(grid)
    encoder.embeddings.num_patches = math.prod(grid)
    encoder.embeddings.position_embeddings = _positions(grid, config.hidden_size)
    return grid


def _positions(grid: Grid, width: int) -> Tensor:
    """Sines and cosines (1, N, C) of the number of a patch (Vaswani et al. 2017, section 3.5).

    On the CPU, also where the network is built without memory: no weights have it.
    """
    number_n1 = torch.arange(math.prod(grid), dtype=torch.float64, device="cpu")[:, None]
    channel_c = torch.arange(width, dtype=torch.float64, device="cpu")
    angles_nc = number_n1 / 10000 ** (2 * (channel_c // 2) / width)
    return torch.where(channel_c % 2 == 0, angles_nc.sin(), angles_nc.cos()).float()[None]


def _embedded(encoder: VideoMAEModel, clip_bcthw: Tensor) -> Tensor:
    tokens_bnc: Tensor = encoder.embeddings(clip_bcthw.transpose(1, 2), None)
    return tokens_bnc


def _picked(tokens_bnc: Tensor, index_bm: Tensor) -> Tensor:
    return tokens_bnc.gather(1, index_bm[:, :, None].expand(-1, -1, tokens_bnc.shape[2]))


def _mean_and_spread(patches_bnpc: Tensor) -> tuple[Tensor, Tensor]:
    """Of every patch and channel, (B, N, 1, C) each; the second is never 0."""
    return patches_bnpc.mean(dim=2, keepdim=True), patches_bnpc.var(dim=2, keepdim=True).sqrt() + 1e-6


def _masked(rows_bnp: Tensor, mask_bn: Tensor, masked: int) -> Tensor:
    """The rows (B, M, P) of masked patches. Sorting finds them: a mask as an index would make every step wait."""
    order_bn = mask_bn.byte().argsort(dim=1, stable=True)[:, -masked:]
    return _picked(rows_bnp, order_bn)


def _say_fixed_positions(grid: Grid) -> None:
    published = grid_of(_PUBLISHED, _PATCH)
    if grid != published:
        sizes = " to ".join("x".join(str(side) for side in each) for each in (published, grid))
        warnings.warn(f"positions are a fixed table, counted anew for the clip: from {sizes} patches", stacklevel=3)
