"""What is asked: why does a network give this clip this label."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo_registry.errors import ParameterError
from zoo_registry.protocols import StagedNetwork


class Unsuitable(ParameterError):
    """A way of explaining that this network does not allow; another one may."""


@dataclass(frozen=True)
class Question:
    """Why does a network answer one clip with a label?

    Attributes:
        network: what answers; nothing but occlusion asks for more than a callable.
        inputs: one preprocessed sample, in the order the network takes it.
        clip_at: which of them is the clip (1, C, T, H, W).
        label: index of the output in question.
        name: of the model, for messages.
    """

    network: Callable[..., Any]
    inputs: tuple[Tensor, ...]
    clip_at: int
    label: int
    name: str = "the model"

    @property
    def clip_bcthw(self) -> Tensor:
        """The clip, a batch of one."""
        return self.inputs[self.clip_at]

    def logits(self, clips_bcthw: Tensor) -> Tensor:
        """The network's answers (B, K) to other clips, with the other inputs as they are."""
        others = [value.expand(len(clips_bcthw), *value.shape[1:]) for value in self.inputs]
        others[self.clip_at] = clips_bcthw
        logits_bk: Tensor = self.network(*others)
        return logits_bk

    def module(self) -> nn.Module:
        """The network, where gradients can be asked of it.

        Raises:
            Unsuitable: it is an exported file.
        """
        if not isinstance(self.network, nn.Module):
            raise Unsuitable(f"{self.name} is no torch module, so nothing can be learnt from its gradients")
        return self.network

    def in_stages(self, *, gradients: bool = False) -> tuple[StagedNetwork, tuple[Tensor, ...]]:
        """The network by its stages in float32, and its inputs.

        Args:
            gradients: whether the clip asks for them.

        Raises:
            Unsuitable: it does not tell its stages.
        """
        network: nn.Module = self.module()
        if not isinstance(network, StagedNetwork):
            raise Unsuitable(f"{self.name} does not tell its stages, so there is no map to look at")
        if any(value.is_floating_point() and value.dtype != torch.float32 for value in network.parameters()):
            network = deepcopy(network).float()
        inputs = list(self.inputs)
        inputs[self.clip_at] = self.clip_bcthw.detach().clone().requires_grad_(gradients)
        return network, tuple(inputs)

    def of_label(self, label: int) -> Question:
        """The same about another label."""
        return replace(self, label=label)
