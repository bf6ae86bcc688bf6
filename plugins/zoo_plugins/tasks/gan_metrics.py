"""How far made clips are from real ones, without anybody who looks at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import nan
from typing import Any

import torch
from torch import Tensor

from zoo_plugins.tasks.collected import Collected
from zoo_plugins.tasks.frechet import frechet_distance
from zoo_registry.protocols import Batch, Outputs

CLIP = "clip_bcthw"


class GanMetrics:
    """Running measures of made clips against those of the data; a `zoo_registry.protocols.Metrics`.

    `compute` gives `frechet`, the squared Fréchet distance of their features, which is smaller the more samples there
    are: compare only what was measured on as many. `critic/real`, `critic/fake` and `critic/gap` are the mean scores of
    the present critic and their difference: they say how the two get on, not how good the clips are.

    Args:
        critic: clips to scores (B,).
        described: clips to features (B, D).
    """

    def __init__(self, critic: Callable[[Tensor], Tensor], described: Callable[[Tensor], Tensor]) -> None:
        self._critic, self._described = critic, described
        self._features, self._scores = Collected(), Collected()

    @torch.no_grad()
    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Take in one batch."""
        pair = (outputs[CLIP], batch.inputs[CLIP])
        made_bd, real_bd = (self._described(clip_bcthw) for clip_bcthw in pair)
        made_b, real_b = (self._critic(clip_bcthw).float() for clip_bcthw in pair)
        self._features.add(made_bd, real_bd)
        self._scores.add(made_b.unsqueeze(1), real_b.unsqueeze(1))

    def compute(self) -> Mapping[str, float]:
        """The measures so far; NaN where nothing was seen."""
        if not len(self._scores):
            return dict.fromkeys(("frechet", "critic/real", "critic/fake", "critic/gap"), nan)
        made, real = (float(column.double().mean()) for column in self._scores.all())
        return {
            "frechet": frechet_distance(*self._features.all()),
            "critic/real": real,
            "critic/fake": made,
            "critic/gap": real - made,
        }

    def merge(self, other: GanMetrics) -> None:
        """Take in what another has seen of the same split, such as another process; the other stays as it is."""
        self._features.merge(other._features)
        self._scores.merge(other._scores)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process, where it is merged: no networks."""
        return {"_features": self._features, "_scores": self._scores}

    def reset(self) -> None:
        """Forget everything."""
        self._features.clear()
        self._scores.clear()
