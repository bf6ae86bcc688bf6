"""Tries ways to compress a model: all of a grid, or those that look promising; and says which none other beats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zoo.compress.measure import Measurement
from zoo.compress.strategy_words import GRID_STEPS, Between, Choices, StrategyWords, combinations
from zoo_registry.errors import MissingExtra

Cost = Literal["latency", "bytes", "gmacs", "parameters", "memory"]
COSTS: dict[Cost, str] = {
    "latency": "latency_ms",
    "bytes": "bytes",
    "gmacs": "gmacs",
    "parameters": "parameters",
    "memory": "peak_bytes",
}
"""What a search makes small, and the attribute of a measurement."""

Slots = list[dict[str, Any]]
"""A recipe's `compress` slot."""


@dataclass(frozen=True)
class Trial:
    """One way that was tried.

    Attributes:
        slots: the recipe's `compress` slot.
        quality: the task's monitored metric, negated where the least is best; None where the way failed.
        cost: part of the original's cost that is left, both measured in this trial.
        measured: everything that was measured after the last strategy.
        problem: why it failed.
    """

    slots: Slots
    quality: float | None = None
    cost: float | None = None
    measured: Measurement | None = None
    problem: str = ""

    @property
    def worked(self) -> bool:
        """Whether there is something to compare."""
        return self.quality is not None and self.cost is not None


def cost_left(measured: Measurement, original: Measurement, cost: Cost) -> float:
    """Part of the original's cost that is left; latencies are those that were measured in turns."""
    if cost == "latency":
        return 1 / measured.speedup if measured.speedup else 1.0
    return float(getattr(measured, COSTS[cost])) / max(float(getattr(original, COSTS[cost])), 1e-12)


def pareto_front(trials: Sequence[Trial]) -> list[Trial]:
    """Those that no other beats in both quality and cost, cheapest first; of equal ones the first tried.

    Example:
        >>> tried = [Trial([], 0.9, 1.0), Trial([], 0.8, 0.5), Trial([], 0.7, 0.6), Trial([], 0.9, 0.9)]
        >>> [(trial.quality, trial.cost) for trial in pareto_front(tried)]
        [(0.8, 0.5), (0.9, 0.9)]
    """
    front: list[Trial] = []
    best = float("-inf")
    ranked = sorted((trial for trial in trials if trial.worked), key=lambda trial: (trial.cost, -(trial.quality or 0)))
    for trial in ranked:
        assert trial.quality is not None
        if trial.quality > best:
            front.append(trial)
            best = trial.quality
    return front


def grid(space: Sequence[StrategyWords], attempt: Callable[[Slots], Trial], steps: int = GRID_STEPS) -> Iterator[Trial]:
    """Try every combination, see `zoo.compress.strategy_words.combinations`."""
    for slots in combinations(space, steps):
        yield attempt(slots)


def tree_parzen(
    space: Sequence[StrategyWords], attempt: Callable[[Slots], Trial], trials: int, seed: int = 0
) -> Iterator[Trial]:
    """Try what a tree-structured Parzen estimator of two objectives proposes (Ozaki et al. 2022, JAIR 73).

    A way that was proposed before is not tried again, so there may be fewer trials than asked for.

    Raises:
        MissingExtra: optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("a search by tpe needs optuna", hint='pip install "videozoo[search]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(4, trials // 4))
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    known: dict[str, Trial] = {}
    for _ in range(trials):
        asked = study.ask()
        slots = [words.slot() for words in _proposed(space, asked)]
        key = json.dumps(slots, sort_keys=True)
        new = key not in known
        trial = known.setdefault(key, attempt(slots)) if new else known[key]
        if trial.worked:
            study.tell(asked, [trial.quality, trial.cost])
        else:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        if new:
            yield trial


def _proposed(space: Sequence[StrategyWords], asked: Any) -> Iterator[StrategyWords]:
    for number, words in enumerate(space):
        if words.optional and not asked.suggest_categorical(f"{number} {words.name}", [True, False]):
            continue
        params = {}
        for key, value in words.params.items():
            name = f"{number} {words.name}.{key}"
            if isinstance(value, Choices):
                params[key] = value.values[asked.suggest_categorical(name, list(range(len(value.values))))]
            elif isinstance(value, Between) and value.whole:
                params[key] = asked.suggest_int(name, int(value.low), int(value.high))
            elif isinstance(value, Between):
                params[key] = float(f"{asked.suggest_float(name, value.low, value.high):.4g}")
            else:
                params[key] = value
        yield StrategyWords(words.name, params)
