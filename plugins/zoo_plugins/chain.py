"""Stages, features and checkpointing for networks that run layer after layer, by methods alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from zoo_plugins.checkpointing import checkpointed
from zoo_registry.protocols import Stage


class Checkpointed(nn.Module):
    """A network that can compute its layers again in the backward pass instead of keeping what they made."""

    grad_checkpointing = False

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training keep only what enters each layer and compute the rest again in the backward pass."""
        self.grad_checkpointing = enable

    def through(self, layer: Callable[..., Any], *inputs: Any, parts: Sequence[nn.Module]) -> Any:
        """What `layer(*inputs)`, which runs these parts, gives; checkpointed where that is on."""
        if self.grad_checkpointing and self.training:
            return checkpointed(layer, *inputs, parts=parts)
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
            parts = [self.get_submodule(name) for name in layer]
            output = self.through(_in_turn, parts, output, parts=parts)
        return output


def _in_turn(parts: Sequence[nn.Module], output: Tensor) -> Tensor:
    for part in parts:
        output = part(output)
    return output
