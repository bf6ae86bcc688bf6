"""Tries the settings that change only how fast a run is, and takes the fastest: `run.auto`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import Module

from zoo.optim.objective_optimizer import objective_optimizers
from zoo.recipe.schema import CompileSlot, RecipeSchema, RunSlot
from zoo.runner.compilation import compiled
from zoo.runner.device import set_memory_format
from zoo.runner.precision import autocast, backward_kernels
from zoo.runner.step import only_these_learn
from zoo_registry.errors import RunError
from zoo_registry.protocols import Batch, Task

BUDGET = 60.0
"""Seconds after which no other setting is tried; the one that is being tried then is brought to its end."""

WARM_UP, MEASURED = 2, 5
"""Steps of a trial: the first ones choose kernels and fill caches."""

WORTH = 0.97
"""A setting is taken when a step takes less than this part of the best one's time: clocks are not that exact."""


@dataclass
class Trial:
    """One way to compute, and how long a step took so.

    Attributes:
        settings: slots of `run` and what they are set to.
        step: seconds of a step, the median of a few; infinite where it failed.
        before: seconds until the first step was done, compilation included.
        failed: why, where it did.
    """

    settings: Mapping[str, Any]
    step: float = float("inf")
    before: float = 0.0
    failed: str = ""

    def __str__(self) -> str:
        name = ", ".join(f"{key} {str(value).lower()}" for key, value in self.settings.items())
        return f"{name}: {self.failed or f'{self.step * 1000:.1f} ms a step'}"


@dataclass
class Tuning:
    """Tries settings on one batch; the task is left as it was.

    Args:
        task: what is trained.
        network: the recipe's model, within the task.
        batch: preprocessed, on the device.
        recipe: says how it is trained.
        device: where.
        steps: of the whole run: compilation has to pay in them.
        say: takes a line for people.
    """

    task: Task
    network: Module
    batch: Batch
    recipe: RecipeSchema
    device: torch.device
    steps: int
    say: Callable[[str], None]
    trials: list[Trial] = field(default_factory=list)

    def best(self) -> dict[str, Any]:
        """The fastest settings: slots of `run`, as a recipe writes them."""
        began = time.perf_counter()
        kept = {name: value.clone() for name, value in self.task.state.state_dict().items()}
        try:
            for memory_format in ("contiguous", "channels_last"):
                self._try({"memory_format": memory_format, "compile": False})
            best = self._fastest()
            left = best.step * self.steps
            if left > BUDGET and time.perf_counter() - began < BUDGET:
                self._try({**best.settings, "compile": True})
                best = self._fastest()
        finally:
            self.task.state.load_state_dict(kept)
        set_memory_format(self.task.state, best.settings["memory_format"] == "channels_last")
        self.say("fastest: " + str(best))
        return dict(best.settings)

    def _fastest(self) -> Trial:
        """The best so far; a later one only when it is clearly faster and its preparation pays."""
        best, *others = self.trials
        for other in others:
            pays = (best.step - other.step) * self.steps > other.before - best.before
            if other.step < WORTH * best.step and pays:
                best = other
        if best.step == float("inf"):
            raise RunError(f"no setting that run.auto tried works: {best.failed}", hint="write run.auto: false")
        return best

    def _try(self, settings: Mapping[str, Any]) -> None:
        trial = Trial(settings)
        self.trials.append(trial)
        set_memory_format(self.task.state, settings["memory_format"] == "channels_last")
        try:
            with compiled(self.network, CompileSlot() if settings["compile"] else None):
                step = self._step()
                began = time.perf_counter()
                self._timed(step)
                trial.before = time.perf_counter() - began
                for _ in range(WARM_UP - 1):
                    self._timed(step)
                trial.step = statistics.median(self._timed(step) for _ in range(MEASURED))
        except (RunError, torch.OutOfMemoryError) as error:
            trial.failed = str(error).splitlines()[0]
        self.say(str(trial))

    def _timed(self, step: Callable[[], None]) -> float:
        began = time.perf_counter()
        step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - began

    def _step(self) -> Callable[[], None]:
        """A step of all objectives, with optimisers of its own."""
        assert self.recipe.optim is not None
        run: RunSlot = self.recipe.run
        optimizers = objective_optimizers(
            self.task, self.task.objectives(), self.recipe.optim, self.steps, self.network, run.epochs
        )
        self.task.state.train()

        def step() -> None:
            shared: dict[str, Any] = {}
            for optimizer in optimizers:
                with only_these_learn(optimizer, optimizers):
                    optimizer.zero_grad()
                    with autocast(self.device, run.precision):
                        terms = optimizer.objective.loss(self.batch, shared)
                    with backward_kernels(self.device, run.precision):
                        terms["total"].backward()  # type: ignore[no-untyped-call]
                    optimizer.step(0)

        return step
