"""What holds for every exporter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.export import compare
from zoo.testing.component import ComponentConformance
from zoo.testing.network import seeded, tensors
from zoo_registry.entries import Exporter

ALLOWED = 1e-3
"""How far a file may be from its model, as in `zoo.export.export`."""


class ExporterConformance(ComponentConformance):
    """Checks for a file format, on a small 3-D network. Subclass it as `Test...`.

    Example:
        >>> class TestProgram(ExporterConformance):
        ...     name = "acme/program"
    """

    kind = "exporter"

    def network(self) -> nn.Module:
        """What is exported; override it for a format of other networks."""
        return nn.Sequential(
            nn.Conv3d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 5),
        ).eval()  # fmt: skip

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the network: a batch of two samples or more."""
        return (torch.randn(3, 3, 2, 8, 8, generator=torch.Generator().manual_seed(1)),)

    def seeded_network(self) -> nn.Module:
        """The network with the same weights each time."""
        with seeded(0):
            return self.network()

    def exported(self, folder: Path) -> tuple[nn.Module, Path]:
        """The network, and the file that was written of it."""
        entry = self.listed.entry
        assert isinstance(entry, Exporter), f"{self.name} is a {entry.kind}"
        network, path = self.seeded_network(), folder / f"model{entry.suffix}"
        with torch.no_grad():
            self.build(inputs=None)(network, self.example(), path)
        assert path.is_file(), f"{self.name} did not write {path.name}: it writes to the path that it is given"
        return network, path

    def load(self, path: Path) -> Callable[..., Any]:
        """The file, read back by the entry's `load`."""
        loaded: Callable[..., Any] = self.listed.resolve_builder("load")(path)
        return loaded

    def test_the_file_answers_like_the_model_whatever_the_batch(self, tmp_path: Path) -> None:
        """One export for all of it: writing is slow in some formats."""
        network, path = self.exported(tmp_path)
        loaded = self.load(path)
        for rows in (slice(None), slice(0, 1)):
            inputs = tuple(tensor[rows] for tensor in self.example())
            with torch.no_grad():
                expected, found = list(tensors(network(*inputs))), list(tensors(loaded(*inputs)))
            assert len(found) == len(expected), f"the model answers {len(expected)} tensors, the file {len(found)}"
            pairs = zip(expected, found, strict=True)
            away = max(compare([({"answer": one}, {"answer": other})]).max_difference for one, other in pairs)
            samples = len(inputs[0])
            assert away <= ALLOWED, f"for {samples} samples the file is {away:.3g} from its model, {ALLOWED} is allowed"
        fresh = self.seeded_network()
        changed = [
            name for name, value in fresh.state_dict().items() if not torch.equal(value, network.state_dict()[name])
        ]
        assert not changed, f"{self.name} changes {changed} of the model it writes"
        assert network.training == fresh.training, f"{self.name} leaves the model in another mode than it was"
