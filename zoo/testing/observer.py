"""What holds for every observer."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

from zoo.testing.component import ComponentConformance
from zoo_registry.names import nearest

EVENTS = ("run_start", "batch_ready", "step_end", "gradients_ready", "epoch_end", "run_end")


class ObserverConformance(ComponentConformance):
    """Checks for an observer of runs. Subclass it as `Test...`.

    Example:
        >>> class TestEpochsCsv(ObserverConformance):
        ...     name = "acme/epochs_csv"
    """

    kind = "observer"

    def observer(self) -> Any:
        """The observer."""
        return self.build(seed=0, labels=(), inputs=(), clip=None, audio=None)

    def calls(self, folder: Path) -> list[tuple[str, tuple[Any, ...]]]:
        """What a run of two epochs tells its observers."""
        recipe = {"zoo": 1, "task": {"name": "tasks/classification"}, "run": {"epochs": 2}}
        values = {"loss": 0.5, "accuracy": 0.75}
        return [
            ("run_start", (folder, recipe)),
            ("batch_ready", (0, self.batch())),
            ("step_end", (1, {"loss": 0.7, "lr": 1e-3})),
            ("gradients_ready", (1, self.parameters())),
            ("epoch_end", (1, values)),
            ("epoch_end", (2, {**values, "loss": 0.25, "accuracy": float("nan")})),
            ("run_end", ({"val/accuracy": 0.75, "val/samples": 8},)),
        ]

    def batch(self) -> Any:
        """An augmented batch."""
        import torch

        from zoo_registry.protocols import Batch

        clip_bcthw = torch.arange(2 * 3 * 4 * 16 * 16).remainder(256).to(torch.uint8).view(2, 3, 4, 16, 16)
        label_b, index = torch.tensor([0, 1]), torch.arange(2)
        return Batch({"clip_bcthw": clip_bcthw}, {"label_b": label_b}, index, torch.zeros_like(index))

    def parameters(self) -> dict[str, Any]:
        """Parameters after a step: one that learnt, one that did not, and one that learnt something infinite."""
        import torch

        learnt, frozen, broken = (torch.nn.Parameter(torch.ones(2, 3)) for _ in range(3))
        learnt.grad, broken.grad = torch.full((2, 3), 0.5), torch.full((2, 3), float("inf"))
        frozen.requires_grad_(False)
        return {"head.weight": learnt, "stem.weight": frozen, "head.bias": broken}

    def test_watches_something(self) -> None:
        observer = self.observer()
        offered = [name for name, _ in inspect.getmembers(observer, callable) if not name.startswith("_")]
        misspelt = {name: near for name in offered if name not in EVENTS and (near := nearest(name, EVENTS, 1))}
        assert not misspelt, (
            f"no run calls {', '.join(f'{name} (did you mean {near[0]}?)' for name, near in misspelt.items())}"
        )
        assert set(offered) & set(EVENTS), f"{self.name} has none of {', '.join(EVENTS)}: it would never be called"

    def test_takes_what_a_run_tells(self, tmp_path: Path) -> None:
        observer = self.observer()
        for event, arguments in self.calls(tmp_path):
            method = getattr(observer, event, None)
            if method is None:
                continue
            given = copy.deepcopy(arguments)
            try:
                method(*given)
            except Exception as error:
                words = f"{type(error).__name__}: {error}"
                raise AssertionError(f"{event} of {self.name} raises {words}: a run would go on without it") from error
            assert repr(given) == repr(arguments), f"{event} of {self.name} changes what it is told"

    def test_starts_late_as_a_resumed_run_does(self, tmp_path: Path) -> None:
        """A resumed run has its first steps behind it, and may end before the next epoch does."""
        observer = self.observer()
        for event, arguments in [self.calls(tmp_path)[0], self.calls(tmp_path)[-1]]:
            method = getattr(observer, event, None)
            if method is not None:
                method(*arguments)
