"""What the library's networks lack: stages, features and a pyramid, over its own blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo_plugins.clip_limits import check_clip_shape
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Stage

Grid = tuple[int, int, int]

_TABLES_AND_TOKENS = re.compile(
    r"(position_embeddings?|time_embeddings)(\.weight)?$|_tokens?$|_query$|class_embedding$"
)


@dataclass(frozen=True)
class PositionTable:
    """A learnt table of positions, a row each.

    Attributes:
        published: (T', H', W') of the grid that published weights have it for; a 1 along an axis it does not know.
        own: the same of the module.
        special: rows before the grid's, such as one for the class token.
    """

    published: Grid
    own: Grid
    special: int = 0


class StagedTransformer(nn.Module):
    """Mixed into a class of the library whose trunk is blocks of one width; parameter names stay the library's.

    Attributes:
        patch: (T, H, W) frames and pixels along a patch.
        trunk: names of the lists of blocks, in order.
        embedding: names of what comes before the blocks.
        norm: what comes after the last block.
        answer: names of what belongs to the head.
        renamed: patterns in published keys and what the library says instead today; tried where a key is not its own.
        unused: beginnings of published keys that this network has no place for.
    """

    patch: ClassVar[Grid]
    trunk: ClassVar[tuple[str, ...]]
    embedding: ClassVar[tuple[str, ...]]
    norm: ClassVar[str | None] = None
    answer: ClassVar[tuple[str, ...]]
    renamed: ClassVar[Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]] = ()
    unused: ClassVar[tuple[str, ...]] = ()
    grid: Grid
    grad_checkpointing = False

    @property
    def width(self) -> int:
        """Channels of the tokens."""
        width: int = self.config.hidden_size
        return width

    def position_tables(self) -> Mapping[str, PositionTable]:
        """The learnt tables of positions by their keys."""
        return {}

    def no_weight_decay(self) -> set[str]:
        """Tables of positions and learnt tokens."""
        return {name for name, _ in self.named_parameters() if _TABLES_AND_TOKENS.search(name)}

    def completed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Converted weights with what the network wants besides."""
        return state

    def stages(self) -> list[Stage]:
        """stem, block1 to the last block, head; what normalises the last block's tokens belongs to it."""
        stages = [Stage("stem", (self.embedding,), channels=self.width, stride=self.patch)]
        names = [f"{trunk}.{index}" for trunk in self.trunk for index in range(len(self.get_submodule(trunk)))]
        for number, name in enumerate(names, start=1):
            layer = (name, self.norm) if self.norm and number == len(names) else (name,)
            stages.append(Stage(f"block{number}", (layer,), channels=self.width, stride=self.patch))
        return [*stages, Stage("head", (self.answer,))]

    def embed(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to the tokens that enter the first block."""
        raise NotImplementedError

    def checked(self, clip_bcthw: Tensor) -> Tensor:
        """The clip, if it is one that the network was built for.

        Where frames are a batch of pictures, one of twice the length would pass for two clips.

        Raises:
            ParameterError: it has another length or size.
        """
        frames, height, width = (count * side for count, side in zip(self.grid, self.patch, strict=True))
        check_clip_shape(type(self).__name__, clip_bcthw, (frames, height, width))
        return clip_bcthw

    def block_arguments(self) -> tuple[Any, ...]:
        """What the library's blocks want besides tokens."""
        return ()

    def through(self, block: nn.Module, tokens: Tensor) -> Tensor:
        """The tokens that a block makes of others, checkpointed where that is on."""
        inputs = (tokens, *self.block_arguments())
        if self.grad_checkpointing and self.training:
            output = checkpoint(block, *inputs, use_reentrant=False)
        else:
            output = block(*inputs)
        made: Tensor = output if isinstance(output, Tensor) else output[0]  # it may come with attention weights
        return made

    def through_blocks(self, tokens: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """The last block's tokens, normalised; what every block gives is put into `seen`, where one is given."""
        blocks = [block for trunk in self.trunk for block in self.get_submodule(trunk)]
        for number, block in enumerate(blocks, start=1):
            tokens = self.through(block, tokens)
            if number == len(blocks):
                tokens = self.normalised(tokens)
            if seen is not None:
                seen.append(tokens)
        return tokens

    def normalised(self, tokens: Tensor) -> Tensor:
        """The last block's tokens as the head wants them."""
        if self.norm is None:
            return tokens
        normalised: Tensor = self.get_submodule(self.norm)(tokens)
        return normalised

    def as_map(self, tokens_bnc: Tensor) -> Tensor:
        """Tokens (B, N, C), the class token first where there is one, as a map (B, C, T', H', W') without it."""
        frames, height, width = self.grid
        return tokens_bnc[:, -frames * height * width :].transpose(1, 2).unflatten(2, self.grid)

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to tokens (B, N, C)."""
        return self.through_blocks(self.embed(self.checked(clip_bcthw)))

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """Clips (B, C, T, H, W) to the map (B, C', T', H', W') after the stem and after every block."""
        seen = [self.embed(self.checked(clip_bcthw))]
        self.through_blocks(seen[0], seen)
        return [self.as_map(tokens) for tokens in seen]

    def forward_head(self, features: Tensor) -> Tensor:
        """From tokens to logits (B, K)."""
        raise NotImplementedError

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to logits (B, K)."""
        return self.forward_head(self.forward_features(clip_bcthw))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training keep only what enters each block and compute the rest again in the backward pass."""
        self.grad_checkpointing = enable


def clip_shape(
    name: str, clip: ClipSpec | None, published: Grid, patch: Grid, *, square: bool = False
) -> tuple[int, int, int]:
    """(T, H, W) of the clip in force, which has to be whole patches.

    Args:
        name: of the model, for words.
        clip: the clip in force, or None for the published one.
        published: (T, H, W) of the clip that the published weights want.
        patch: (T, H, W) of a patch.
        square: whether the library takes square frames only.

    Raises:
        ParameterError: it cannot be cut into patches, or is not square.
    """
    if clip is None:
        return published
    shape = (clip.frames, *clip.height_width)
    said = f"the clip has {shape[0]} of {shape[1]}x{shape[2]}"
    hint = f"change frames and size in data.clip; the published weights saw {published[0]} of {published[1]}"
    if any(side % step for side, step in zip(shape, patch, strict=True)):
        steps = f"frames in multiples of {patch[0]}, and sides in multiples of {patch[1]} pixels"
        raise ParameterError(f"{name} takes {steps}; {said}", hint=hint)
    if square and shape[1] != shape[2]:
        raise ParameterError(f"{name} takes square frames; {said}", hint=hint)
    return shape


def grid_of(shape: Grid, patch: Grid) -> Grid:
    """How many patches lie along each side of a clip."""
    frames, height, width = (side // step for side, step in zip(shape, patch, strict=True))
    return frames, height, width
