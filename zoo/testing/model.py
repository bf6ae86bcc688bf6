"""What holds for every model."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from zoo.artefact import load_model, save_model
from zoo.complexity import complexity, without_memory
from zoo.testing.capabilities import LIMITS, check_batch1, check_bf16, check_channels_last
from zoo.testing.network import seeded, tensors
from zoo.testing.staged_network import StagedNetworkConformance
from zoo.testing.streaming_network import StreamingNetworkConformance


class ModelConformance(StagedNetworkConformance, StreamingNetworkConformance):
    """Checks for a model. Subclass it as `Test...`.

    A module that is a `zoo_registry.protocols.StagedNetwork` or `StreamingNetwork` is checked as one; for others those
    checks are skipped.
    What the entry's `limits` declare is not asked for.

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

    output: ClassVar[tuple[int, ...] | None] = None
    unused: ClassVar[tuple[str, ...]] = ()

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
            answers = list(tensors(self.network()(*self.example())))
        assert answers, f"{self.name} returns no tensor"
        for tensor in answers:
            assert tensor.shape[:1] == (2,), f"two samples went in, {tuple(tensor.shape)} came out"
            assert tensor.isfinite().all(), f"{self.name} answers random inputs with {tensor}"
        if self.output is not None:
            shape = tuple(answers[0].shape)
            assert shape == self.output, f"{self.name} answers {shape}, {self.output} is what its test says"

    def test_gives_every_parameter_a_finite_gradient(self) -> None:
        learning = [name for name, value in self.network().named_parameters() if value.requires_grad]
        gradients = self._gradients(seed=2)
        left_out = [name for name in learning if name not in gradients and name not in self.unused]
        assert not left_out, f"{left_out} have no part in the output; name them in `unused` if that is meant"
        broken = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
        assert not broken, f"the gradients of {broken} are not finite"

    def test_the_same_seed_builds_the_same_weights(self) -> None:
        once, again = self.network(seed=3).state_dict(), self.network(seed=3).state_dict()
        differing = [name for name, value in once.items() if not torch.equal(value, again[name])]
        assert not differing, f"{differing} come from somewhere else than torch's random generator"

    def test_answers_the_same_question_the_same_way(self) -> None:
        network, example = self.network(), self.example()
        with torch.no_grad():
            pairs = zip(tensors(network(*example)), tensors(network(*example)), strict=True)
            assert all(torch.equal(*pair) for pair in pairs), f"{self.name} draws random numbers in eval mode"

    def test_samples_do_not_see_each_other(self) -> None:
        self.skip_limit("batch1")
        check_batch1(self.network(), self.example())

    def test_computes_in_bfloat16(self) -> None:
        self.skip_limit("bf16")
        check_bf16(self.network(), self.example())

    def test_computes_in_channels_last_order(self) -> None:
        self.skip_limit("channels_last")
        check_channels_last(self.network(), self.example())

    def test_its_limits_are_names_of_checks(self) -> None:
        unknown = set(self.entry.limits) - set(LIMITS)
        assert not unknown, f"{self.name} declares the limits {sorted(unknown)}; the checks are {', '.join(LIMITS)}"

    def test_costs_as_many_multiply_adds_as_it_declares(self) -> None:
        declared = self.entry.gmacs
        if declared is None:
            pytest.skip(f"{self.name} declares no gmacs")
        counted = complexity(*without_memory(self.listed)).gmacs
        assert abs(counted - declared) <= 0.01 * declared, f"{self.name} declares {declared} gmacs, needs {counted:.4g}"

    def test_the_same_seed_gives_the_same_gradients(self) -> None:
        once, again = (self._gradients(seed=6) for _ in range(2))
        differing = [name for name, gradient in once.items() if not torch.equal(gradient, again[name])]
        assert not differing, f"training {self.name} draws from somewhere else than torch's random generator"

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
            pairs = zip(tensors(network(*example)), tensors(loaded(*example)), strict=True)
            assert all(torch.equal(*pair) for pair in pairs), f"{self.name} answers otherwise after loading"

    def _gradients(self, seed: int) -> dict[str, Tensor]:
        """Gradients of a training step by the names of the parameters that have one."""
        network = self.network().train()
        network.zero_grad()
        with seeded(seed):
            outputs = list(tensors(network(*self.example())))
            torch.autograd.backward(outputs, [torch.randn_like(tensor) for tensor in outputs])
        return {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
