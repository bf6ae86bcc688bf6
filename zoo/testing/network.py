"""The tiny build of a model that all its checks look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from zoo.build import build
from zoo.testing.component import ComponentConformance, NeedsItsOwnTest
from zoo_registry.entries import Model


class NetworkConformance(ComponentConformance):
    """What the checks of a model start from; `ModelConformance` says what its attributes mean."""

    kind = "model"
    classes: ClassVar[int] = 5
    clip: ClassVar[Mapping[str, Any]] = {}
    audio: ClassVar[Mapping[str, Any]] = {}

    @property
    def entry(self) -> Model:
        """The model's entry."""
        entry = self.listed.entry
        assert isinstance(entry, Model), f"{self.name} is a {entry.kind}"
        return entry

    @property
    def specs(self) -> dict[str, Any]:
        """Clip and audio spec of the tiny build."""
        entry = self.entry
        return {
            "clip": replace(entry.clip, **self.clip) if entry.clip else None,
            "audio": replace(entry.audio, **self.audio) if entry.audio else None,
        }

    def network(self, seed: int = 0, **params: Any) -> nn.Module:
        """The tiny build, in eval mode, where wanted with other parameters than `params`."""
        provided = {"num_classes": self.classes, "labels": (), "inputs": self.entry.inputs, **self.specs}
        with seeded(seed):
            network = build(self.listed, {**self.params, **params}, provided) if params else self.build(**provided)
        assert isinstance(network, nn.Module), f"the builder of {self.name} returned a {type(network).__name__}"
        return network.eval()

    def example(self, batch: int = 2) -> tuple[Tensor, ...]:
        """Normalised inputs, in the order the model takes them; override it for others than clips and sound."""
        with seeded(1):
            return tuple(self._input(name, batch) for name in self.entry.inputs)

    def _input(self, name: str, batch: int) -> Tensor:
        """Random numbers in the shape that the specs say: `..._bcthw` is shown as the clip is."""
        clip, audio = self.specs["clip"], self.specs["audio"]
        if name.endswith("_bcthw") and clip is not None:
            return torch.randn(batch, len(clip.mean), clip.frames, *clip.height_width)
        if name == "audio_bcn" and audio is not None:
            return torch.randn(batch, audio.channels, audio.samples)
        raise NeedsItsOwnTest(f"{self.name} takes {name}, whose shape no spec says: it needs example()")

    def skip_limit(self, check: str) -> None:
        """Skip, and say why, what the entry's `limits` declare the model cannot do."""
        if check in self.entry.limits:
            pytest.skip(f"{self.name} declares the limit {check!r}: {self.entry.limits[check]}")

    def skip_without(self, parameter: str) -> None:
        """Skip, and say why, where a recipe cannot write a parameter of the builder."""
        from zoo.build import parameters

        offered = {each.name for each in parameters(self.listed)} - set(self.entry.fixed)
        if parameter not in offered:
            pytest.skip(f"the builder of {self.name} takes no {parameter}")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers from a seed, and afterwards as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def tensors(output: Any) -> Iterator[Tensor]:
    """The tensors of an output, whatever holds them."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from tensors(value)
