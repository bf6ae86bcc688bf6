"""A network with stages, and a task that wraps it and has a head of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tests.zoo.runner.in_memory import BrightOrDark
from zoo_registry.protocols import Batch, Objective, Stage


class Block(nn.Module):
    """A residual convolution with everything that must not move or draw when it is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm3d(4)
        self.dropout = nn.Dropout(0.2)

    def forward(self, map_bcthw: Tensor) -> Tensor:
        return map_bcthw + self.dropout(self.norm(self.convolution(map_bcthw)).relu())


class Staged(nn.Module):
    """A stem with a norm, two stages of two and one block, and a head, for clips of any size."""

    grad_checkpointing = False

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 1, 1, 1, 1))
        self.stem = nn.Conv3d(3, 4, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm3d(4)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(4, 2)

    def stages(self) -> list[Stage]:
        return [
            Stage("stem", (("stem", "stem_norm", "scale"),), 4, (1, 1, 1)),
            Stage("stage1", (("blocks.0",), ("blocks.1",)), 4, (1, 1, 1)),
            Stage("stage2", (("blocks.2",),), 4, (1, 1, 1)),
            Stage("head", (("head",),)),
        ]

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        maps = [self.stem_norm(self.stem(clip_bcthw)) * self.scale]
        for block in self.blocks:
            if self.grad_checkpointing and self.training:
                maps.append(checkpoint(block, maps[-1], use_reentrant=False))
            else:
                maps.append(block(maps[-1]))
        return [maps[0], maps[2], maps[3]]

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        return self.forward_pyramid(clip_bcthw)[-1]

    def forward_head(self, features: Tensor) -> Tensor:
        return self.head(features.mean((2, 3, 4)))

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(clip_bcthw))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.grad_checkpointing = enable


class Wrapping(BrightOrDark):
    """The network inside a larger state, beside a module that only the task knows."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = Staged()
        self.own = nn.Linear(2, 2)
        self.state = nn.ModuleDict({"wrapped": nn.Sequential(self.network), "own": self.own})

    def objectives(self) -> list[Objective]:
        return [Objective("main", list(self.state.parameters()), self.loss)]

    def loss(self, batch: Batch, shared: dict[str, Any]) -> dict[str, Tensor]:
        logits_bk = self.own(self.predict(self.state["wrapped"], batch)["logits_bk"])
        return {"total": functional.cross_entropy(logits_bk, batch.targets["label_b"])}

    def result(self) -> nn.Module:
        return self.network
