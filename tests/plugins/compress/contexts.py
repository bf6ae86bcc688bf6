"""What a strategy is given in a run, over batches that a test makes up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo_registry.errors import RunError


@dataclass
class GivenBatches:
    """A compression context over given batches.

    Attributes:
        batches: inputs of the model.
        scored: stands for the monitored metric on a validation split; None where there is no such split.
        device: where the model is said to be.
    """

    batches: list[tuple[Tensor, ...]]
    scored: Callable[[nn.Module], float] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def example(self) -> tuple[Tensor, ...]:
        return self.batches[0]

    def calibration(self, batches: int) -> Iterator[tuple[Tensor, ...]]:
        return iter(self.batches[:batches])

    def score(self, model: nn.Module) -> float:
        if self.scored is None:
            raise RunError("there is no validation data")
        return self.scored(model)


def reloaded(
    model: nn.Module,
    record: Mapping[str, Any],
    restore: Callable[[nn.Module, Mapping[str, Any]], nn.Module],
    make: Callable[[], nn.Module],
) -> nn.Module:
    """What a stranger gets who has the record, the weights and the architecture."""
    with torch.device("meta"):
        empty = make()
    restored = restore(empty, json.loads(json.dumps(record))).eval()
    restored.load_state_dict(model.state_dict(), strict=True, assign=True)
    return restored
