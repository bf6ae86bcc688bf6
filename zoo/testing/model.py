"""What holds for every model."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.artefact import load_model, save_model
from zoo.testing.component import ComponentConformance
from zoo_registry.entries import Model


class ModelConformance(ComponentConformance):
    """Checks for a model. Subclass it as `Test...`.

    Attributes:
        classes: K of the tiny build.
        clip, audio: fields of the entry's specs to change for it, such as `{"frames": 4, "size": 32}`.
        output: shape that the output must have; None leaves everything but the batch open.
        unused: names of parameters that have no part in the output, such as a mask token.

    Example:
        >>> class TestTiny(ModelConformance):
        ...     name = "acme/tiny"
        ...     clip = {"frames": 4, "size": 32}
        ...     output = (2, 5)
    """

    kind = "model"
    classes: ClassVar[int] = 5
    clip: ClassVar[Mapping[str, Any]] = {}
    audio: ClassVar[Mapping[str, Any]] = {}
    output: ClassVar[tuple[int, ...] | None] = None
    unused: ClassVar[tuple[str, ...]] = ()

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

    def network(self, seed: int = 0) -> nn.Module:
        """The tiny build, in eval mode."""
        with _seed(seed):
            network = self.build(num_classes=self.classes, labels=(), inputs=self.entry.inputs, **self.specs)
        assert isinstance(network, nn.Module), f"the builder of {self.name} returned a {type(network).__name__}"
        return network.eval()

    def example(self, batch: int = 2) -> tuple[Tensor, ...]:
        """Normalised inputs, in the order the model takes them; override it for others than clips and sound."""
        specs = self.specs
        with _seed(1):
            made = {
                "clip_bcthw": lambda: torch.randn(batch, 3, specs["clip"].frames, *specs["clip"].height_width),
                "audio_bcn": lambda: torch.randn(batch, specs["audio"].channels, specs["audio"].samples),
            }
            return tuple(made[name]() for name in self.entry.inputs)

    def test_has_as_many_parameters_as_it_declares(self) -> None:
        entry = self.entry
        with torch.device("meta"):
            network = self.build(num_classes=400, labels=(), inputs=entry.inputs, clip=entry.clip, audio=entry.audio)
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count > 0, f"{self.name} has no parameters"
        assert entry.parameters in (None, count), (
            f"{self.name} declares {entry.parameters:,} parameters for 400 classes and has {count:,}"
        )

    def test_answers_for_every_sample_with_finite_numbers(self) -> None:
        with torch.no_grad():
            tensors = list(_tensors(self.network()(*self.example())))
        assert tensors, f"{self.name} returns no tensor"
        for tensor in tensors:
            assert tensor.shape[:1] == (2,), f"two samples went in, {tuple(tensor.shape)} came out"
            assert tensor.isfinite().all(), f"{self.name} answers random inputs with {tensor}"
        if self.output is not None:
            assert tuple(tensors[0].shape) == self.output

    def test_gives_every_parameter_a_finite_gradient(self) -> None:
        with _seed(2):
            network = self.network().train()
            outputs = list(_tensors(network(*self.example())))
            torch.autograd.backward(outputs, [torch.randn_like(tensor) for tensor in outputs])
        learning = {name: value for name, value in network.named_parameters() if value.requires_grad}
        left_out = [name for name, value in learning.items() if value.grad is None and name not in self.unused]
        assert not left_out, f"{left_out} have no part in the output; name them in `unused` if that is meant"
        broken = [
            name for name, value in learning.items() if value.grad is not None and not value.grad.isfinite().all()
        ]
        assert not broken, f"the gradients of {broken} are not finite"

    def test_the_same_seed_builds_the_same_weights(self) -> None:
        once, again = self.network(seed=3).state_dict(), self.network(seed=3).state_dict()
        differing = [name for name, value in once.items() if not torch.equal(value, again[name])]
        assert not differing, f"{differing} come from somewhere else than torch's random generator"

    def test_answers_the_same_question_the_same_way(self) -> None:
        network, example = self.network(), self.example()
        with torch.no_grad():
            pairs = zip(_tensors(network(*example)), _tensors(network(*example)), strict=True)
            assert all(torch.equal(*pair) for pair in pairs), f"{self.name} draws random numbers in eval mode"

    def test_samples_do_not_see_each_other(self) -> None:
        network, example = self.network(), self.example()
        with torch.no_grad():
            together = _tensors(network(*example))
            alone = _tensors(network(*(tensor[:1] for tensor in example)))
        for both, one in zip(together, alone, strict=True):
            # Kernels may sum in another order for another batch size.
            torch.testing.assert_close(both[:1], one, rtol=1e-3, atol=1e-4)

    def test_leaves_its_inputs_alone(self) -> None:
        example = self.example()
        before = [tensor.clone() for tensor in example]
        with torch.no_grad():
            self.network().train()(*example)
        assert all(torch.equal(*pair) for pair in zip(before, example, strict=True)), (
            f"{self.name} writes to its inputs"
        )

    def test_is_saved_and_loaded_without_loss(self, tmp_path: Path) -> None:
        network, example = self.network(seed=4), self.example()
        save_model(
            tmp_path / "model", network, model=self.listed.name, params=self.params, inputs=self.entry.inputs,
            num_classes=self.classes, **self.specs,
        )  # fmt: skip
        loaded = load_model(tmp_path / "model")
        with torch.no_grad():
            pairs = zip(_tensors(network(*example)), _tensors(loaded(*example)), strict=True)
            assert all(torch.equal(*pair) for pair in pairs), f"{self.name} answers otherwise after loading"


@contextmanager
def _seed(seed: int) -> Iterator[None]:
    """Random numbers from a seed, and afterwards as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors of an output, whatever holds them."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)
