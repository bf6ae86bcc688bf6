"""Finds the strength at which a strategy brings a model down to a wanted cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

HALVINGS = {"gmacs": 10, "latency": 7}
"""How often the interval of strengths is halved; a latency is not known well enough to go on for long."""


@dataclass(frozen=True)
class CostTarget:
    """A cost, and the part of it that is to be left.

    Attributes:
        kind: `gmacs` or `latency`.
        part: of the original's cost, between 0 and 1.
        original: that cost, in GMACs or milliseconds.
        cost: measures a model.
    """

    kind: str
    part: float
    original: float
    cost: Callable[[nn.Module], float]

    def left(self, model: nn.Module) -> float:
        """The part of the original's cost that a model has."""
        return self.cost(model) / self.original


def read_target(target: Mapping[str, float], context: CompressionContext, model: nn.Module, what: str) -> CostTarget:
    """The target that a recipe writes as `{gmacs: 0.5}` or `{latency: 0.6}`.

    Args:
        target: one of those.
        context: measures.
        model: what the part is a part of.
        what: the strategy, for messages.

    Raises:
        ParameterError: another key, or several.
    """
    costs = {"gmacs": context.gmacs, "latency": context.latency_ms}
    if len(target) != 1 or not set(target) <= set(costs):
        raise ParameterError(
            f"target of {what} holds {sorted(target) or 'nothing'}", hint="write {gmacs: 0.5} or {latency: 0.6}"
        )
    kind, part = next(iter(target.items()))
    return CostTarget(kind, part, costs[kind](model), costs[kind])


def least_strength(
    attempt: Callable[[float], nn.Module], target: CostTarget, part: float, what: str, strongest: float = 1.0
) -> float:
    """The smallest strength whose model costs no more than the target, by bisection.

    Args:
        attempt: makes a model of a strength, between 0 and `strongest`; more costs less.
        target: what is measured.
        part: the part of the original's cost to come down to.
        what: the strategy, for messages.
        strongest: the end of the interval.

    Raises:
        ParameterError: even the strongest costs more; says what can be had.
    """
    least = target.left(attempt(strongest))
    if least > part:
        raise ParameterError(
            f"{what} cannot reach the target {target.kind} {part:g}: the least it can leave is {least:.3f}",
            hint=f"ask for {target.kind} of at least {min(0.99, least + 0.01):.2f}, or allow it more of the model",
        )
    low, high = 0.0, strongest
    for _ in range(HALVINGS[target.kind]):
        middle = (low + high) / 2
        if target.left(attempt(middle)) <= part:
            high = middle
        else:
            low = middle
    return high
