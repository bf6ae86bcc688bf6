"""What holds for every compression strategy."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.complexity import complexity
from zoo.compress.latency import measure_latency
from zoo.testing.component import ComponentConformance
from zoo_registry.errors import ZooError
from zoo_registry.protocols import Batch


@dataclass
class RandomContext:
    """A compression context over random clips, of which the original's answers are right.

    Attributes:
        example: inputs of one batch.
        original: the model before compression.
        device: the CPU.
        monitor: minus the mean squared difference from the original's answers.
    """

    example: tuple[Tensor, ...]
    original: nn.Module
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    monitor: tuple[str, Literal["max", "min"]] = ("likeness", "max")

    def calibration(self, batches: int) -> Iterator[tuple[Tensor, ...]]:
        """Random inputs of the example's shapes."""
        generator = torch.Generator().manual_seed(0)
        for _ in range(batches):
            yield tuple(torch.randn(tensor.shape, generator=generator) for tensor in self.example)

    def losses(self, model: nn.Module, batches: int) -> Iterator[Tensor]:
        """Mean squared differences from the original's answers plus one, so that gradients are never all zero."""
        for inputs in self.calibration(batches):
            yield self._apart(model, inputs, 1.0)

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """How like the original the model answers."""
        with torch.no_grad():
            apart = [self._apart(model, inputs) for inputs in self.calibration(2)]
        return {"likeness": -float(torch.stack(apart).mean())}

    def score(self, model: nn.Module) -> float:
        """The likeness."""
        return self.evaluate(model)["likeness"]

    def gmacs(self, model: nn.Module) -> float:
        """Counted as a run counts them."""
        return complexity(model, tuple(tensor[:1] for tensor in self.example)).gmacs

    def latency_ms(self, model: nn.Module) -> float:
        """Measured as a run measures it."""
        return measure_latency(model, self.example, runs=5).p50_ms

    def train(
        self,
        model: nn.Module,
        *,
        epochs: int,
        lr: float,
        batches: int | None = None,
        loss: Callable[[Batch, Callable[[], Tensor]], Tensor] | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        """A few steps of gradient descent."""
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        for inputs in list(self.calibration(batches or 2)) * epochs:
            index = torch.arange(len(inputs[0]))
            batch = Batch({f"input_{number}": each for number, each in enumerate(inputs)}, {}, index, index * 0)
            own = partial(self._apart, model, inputs)
            optimizer.zero_grad()
            (own() if loss is None else loss(batch, own)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if after_step is not None:
                after_step()
        model.eval()

    def _apart(self, model: nn.Module, inputs: tuple[Tensor, ...], shift: float = 0.0) -> Tensor:
        with torch.no_grad():
            right = self.original(*inputs)
        return nn.functional.mse_loss(model(*inputs).float(), right.float() + shift)


class CompressionConformance(ComponentConformance):
    """Checks for a compression strategy, on a small 3-D network. Subclass it as `Test...`.

    Example:
        >>> class TestLowRank(CompressionConformance):
        ...     name = "acme/low_rank"
        ...     params = {"rank": 2}
    """

    kind = "compression"

    def network(self) -> nn.Module:
        """What is compressed; override it for a strategy that wants other layers."""
        return nn.Sequential(
            nn.Conv3d(3, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.Conv3d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5),
        ).eval()  # fmt: skip

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the network."""
        return (torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(1)),)

    def compressed(self) -> tuple[nn.Module, Mapping[str, Any]]:
        """The network after the strategy, and the record of what was done."""
        apply = self.build()
        model, record = apply(self.seeded_network(), RandomContext(self.example(), self.seeded_network()))
        return model.eval(), record

    def seeded_network(self) -> nn.Module:
        """The network with the same weights each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.network()

    def restore(self, model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        """What the entry's `restore` makes of a freshly built model."""
        restored: nn.Module = self.listed.resolve_builder("restore")(model, record)
        return restored

    def test_the_compressed_model_answers_in_the_same_shape(self) -> None:
        model, _ = self.compressed()
        with torch.no_grad():
            before, after = self.seeded_network()(*self.example()), model(*self.example())
        assert after.shape == before.shape, (
            f"{self.name} turns answers of {tuple(before.shape)} into {tuple(after.shape)}"
        )
        assert after.isfinite().all(), f"a model that {self.name} compressed answers {after}"

    def test_its_record_is_plain_data(self) -> None:
        _, record = self.compressed()
        assert json.loads(json.dumps(record)) == record, "a record is what JSON holds: no tuples, no tensors"

    def test_what_it_makes_can_be_rebuilt_from_record_and_weights(self) -> None:
        compressed, record = self.compressed()
        with torch.device("meta"):
            fresh = self.network()
        rebuilt = self.restore(fresh, json.loads(json.dumps(record)))
        rebuilt.load_state_dict(compressed.state_dict(), strict=True, assign=True)
        with torch.no_grad():
            assert torch.equal(rebuilt.eval()(*self.example()), compressed(*self.example())), (
                f"a model that {self.name} compressed answers otherwise after loading"
            )

    def test_refuses_a_record_that_it_did_not_write(self) -> None:
        _, record = self.compressed()
        record = {**deepcopy(dict(record)), "no_such_key": ["os.system"]}
        try:
            self.restore(self.network(), record)
        except ZooError:
            return
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise AssertionError(
                f"{self.name} meets a record it did not write with {words}: raise ArtefactError"
            ) from error
        raise AssertionError(f"{self.name} restores a record with a key it does not know: raise ArtefactError")
