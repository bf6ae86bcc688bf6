"""What torchvision's networks lack: stages, features and checkpointing, by methods alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo_registry.protocols import Stage


class Checkpointed(nn.Module):
    """A network that can compute its layers again in the backward pass instead of keeping what they made."""

    grad_checkpointing = False

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training keep only what enters each layer and compute the rest again in the backward pass."""
        self.grad_checkpointing = enable

    def through(self, layer: Any, *inputs: Any) -> Any:
        """What `layer(*inputs)` gives, checkpointed where that is on."""
        if self.grad_checkpointing and self.training:
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)


class Chain(Checkpointed):
    """A network whose stages run one after the other, each layer on what the one before it gave.

    `stages` says it all: a layer's names are submodules in the order in which they run.
    """

    def stages(self) -> Sequence[Stage]:
        """The parts of the network; every one but the head has a map."""
        raise NotImplementedError

    def as_map(self, layer_output: Tensor) -> Tensor:
        """What a layer gives as a map (B, C, T', H', W')."""
        return layer_output

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to the last map (B, C', T', H', W')."""
        output = clip_bcthw
        for stage in self.stages()[:-1]:
            output = self._run(stage, output)
        return self.as_map(output)

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """Clips (B, C, T, H, W) to the map (B, C', T', H', W') of every stage, from fine to coarse."""
        output, maps = clip_bcthw, []
        for stage in self.stages()[:-1]:
            output = self._run(stage, output)
            maps.append(self.as_map(output))
        return maps

    def forward_head(self, features: Tensor) -> Tensor:
        """From the last map to logits (B, K)."""
        raise NotImplementedError

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) to logits (B, K)."""
        return self.forward_head(self.forward_features(clip_bcthw))

    def _run(self, stage: Stage, output: Tensor) -> Tensor:
        for layer in stage.layers:
            output = self.through(self._layer, layer, output)
        return output

    def _layer(self, names: tuple[str, ...], output: Tensor) -> Tensor:
        for name in names:
            output = self.get_submodule(name)(output)
        return output


def for_channels(convolution: nn.Conv3d, in_channels: int) -> nn.Conv3d:
    """A first convolution for clips of `in_channels`; the same one where it already is, else fresh and random."""
    if convolution.in_channels == in_channels:
        return convolution
    return nn.Conv3d(
        in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        convolution.padding,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
