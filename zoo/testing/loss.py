"""What holds for every loss."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.testing.component import ComponentConformance, NeedsItsOwnTest


class LossConformance(ComponentConformance):
    """Checks for a loss. Subclass it as `Test...` and say what it compares.

    Example:
        >>> class TestFocal(LossConformance):
        ...     name = "acme/focal"
        ...     def example(self):
        ...         return torch.tensor([[2.0, -1.0], [0.0, 1.0]]), torch.tensor([0, 1])
    """

    kind = "loss"

    def example(self) -> tuple[Any, Any]:
        """A prediction (a tensor, or a mapping of them) and a target that the loss compares."""
        raise NeedsItsOwnTest(f"{self.name} needs example() -> (prediction, target)")

    def loss(self) -> Callable[[Any, Any], Tensor]:
        """The loss function."""
        built: Callable[[Any, Any], Tensor] = self.build(labels=(), num_classes=None)
        return built

    def test_is_a_finite_number(self) -> None:
        value = self.loss()(*self.example())
        assert value.shape == (), f"a loss is a scalar, {tuple(value.shape)} came out"
        assert value.isfinite(), f"{self.name} is {value}"

    def test_gives_the_prediction_a_finite_gradient(self) -> None:
        prediction, target = self.example()
        tensors = list(prediction.values()) if isinstance(prediction, dict) else [prediction]
        for tensor in tensors:
            tensor.requires_grad_()
        torch.autograd.backward(self.loss()(prediction, target))
        gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
        assert gradients, f"{self.name} gives the prediction no gradient"
        assert all(gradient.isfinite().all() for gradient in gradients), f"{self.name} gives gradients {gradients}"
        assert any(gradient.any() for gradient in gradients), f"every gradient of {self.name} is zero"

    def test_is_the_same_each_time(self) -> None:
        loss = self.loss()
        once, again = (float(loss(*self.example())) for _ in range(2))
        assert once == again, f"{self.name} of the same prediction and target is {once}, then {again}"

    def test_leaves_prediction_and_target_alone(self) -> None:
        (prediction, target), (same_prediction, same_target) = self.example(), self.example()
        self.loss()(prediction, target)
        torch.testing.assert_close(
            (prediction, target), (same_prediction, same_target), rtol=0, atol=0,
            msg=lambda text: f"{self.name} writes to what it was given: {text}",
        )  # fmt: skip
