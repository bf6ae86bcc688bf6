"""What features are worth, and whatever a task measures of each sample besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import torch
from torch import Tensor
from torch.nn.functional import normalize

from zoo_plugins.tasks.collected import Collected
from zoo_plugins.tasks.nearest_neighbours import nearest_neighbour_accuracy
from zoo_registry.protocols import Batch, Outputs

FEATURES = "features_bc"


class RepresentationMetrics:
    """Running measures of tasks that learn features; a `zoo_registry.protocols.Metrics`.

    `compute` gives the mean over samples of each of `means`; `knn`, the share of samples whose label their nearest
    neighbours in the split tell (NaN where there is no `label_b`); and `spread`, how far apart the features lie: about
    1 where they fill their space, 0 where all are the same, which is how learning without labels fails.

    Args:
        means: names of the measures, and the keys of the outputs (B,) that they are the means of.

    Example:
        >>> metrics = RepresentationMetrics({"error": "error_b"})
        >>> rows = torch.arange(4)
        >>> outputs = {"features_bc": torch.eye(4), "error_b": torch.tensor([1.0, 2.0, 3.0, 4.0])}
        >>> metrics.update(outputs, Batch({}, {}, rows, rows))
        >>> metrics.compute()["error"]
        2.5
    """

    def __init__(self, means: Mapping[str, str]) -> None:
        self._means = dict(means)
        self._values = {name: Collected() for name in self._means}
        self._features = Collected()

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Take in one batch."""
        for name, key in self._means.items():
            value_b1 = outputs[key].detach().unsqueeze(1)
            self._values[name].add(value_b1, value_b1)
        if FEATURES in outputs:
            features_bc = outputs[FEATURES].detach()
            unknown_b = torch.full((len(batch),), -1, device=features_bc.device)
            self._features.add(features_bc, batch.targets.get("label_b", unknown_b))

    def compute(self) -> Mapping[str, float]:
        """The measures so far; NaN where nothing was seen."""
        values = {
            name: float(seen.all()[0].double().mean()) if len(seen) else nan for name, seen in self._values.items()
        }
        if not len(self._features):
            return values | {"knn": nan, "spread": nan}
        features_nc, label_n = self._features.all()
        known_n = label_n >= 0
        return values | {
            "knn": nearest_neighbour_accuracy(features_nc[known_n], label_n[known_n]),
            "spread": spread(features_nc),
        }

    def merge(self, other: RepresentationMetrics) -> None:
        """Take in what another has seen of the same split, such as another process; the other stays as it is."""
        for name, seen in self._values.items():
            seen.merge(other._values[name])
        self._features.merge(other._features)

    def reset(self) -> None:
        """Forget everything."""
        for seen in (self._features, *self._values.values()):
            seen.clear()


def spread(features_nc: Tensor) -> float:
    """Standard deviation of unit features by channel, times the root of C (Chen and He 2021, section 4.1).

    Example:
        >>> spread(torch.ones(3, 8))
        0.0
    """
    if len(features_nc) < 2:
        return nan
    unit_nc = normalize(features_nc.double(), dim=1)
    return float(unit_nc.std(dim=0, correction=0).mean() * unit_nc.shape[1] ** 0.5)


def mean_of(outputs: Sequence[Outputs], key: str) -> Tensor:
    """The mean over views of what each of them has under a key."""
    return torch.stack([output[key] for output in outputs]).mean(dim=0)
