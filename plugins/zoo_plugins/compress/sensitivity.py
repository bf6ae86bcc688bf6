"""Finds out which layers suffer most from low precision, and leaves as many of them alone as have to be.

Wu et al., Integer Quantization for Deep Learning Inference, 2020, section 6.1 (partial quantization): layers are
quantised one at a time to rank them, then taken out of quantisation from the worst on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.compress.answers import answers
from zoo_registry.errors import RunError
from zoo_registry.protocols import CompressionContext

Switch = Callable[[str, bool], None]
"""`(layer, on)`: computes a layer in low precision, or as it was."""

RankBy = Literal["error", "score"]


@dataclass(frozen=True)
class Sensitivity:
    """What was found out.

    Attributes:
        ranking: how much each layer costs when it alone is in low precision, the worst first; empty if nobody asked.
        ranked_by: `error`: squared error of the model's answers to calibration data, as part of their square; `score`:
            drop of the monitored metric on the validation split.
        kept: the layers left as they were, the worst first.
        bound: what `max_drop` bounds, its value with the chosen layers left out, and with none; None without a bound.
    """

    ranking: tuple[tuple[str, float], ...] = ()
    ranked_by: RankBy = "error"
    kept: tuple[str, ...] = ()
    bound: Mapping[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "ranking": [[name, float(f"{cost:.4g}")] for name, cost in self.ranking],
            "ranked_by": self.ranked_by,
            "kept": list(self.kept),
            "bound": dict(self.bound) if self.bound is not None else None,
        }


def choose_layers(
    model: nn.Module,
    layers: Sequence[str],
    switch: Switch,
    context: CompressionContext,
    *,
    batches: int,
    keep: float = 0,
    max_drop: float | None = None,
    rank_by: RankBy = "error",
) -> Sensitivity:
    """Switch layers off until the model is good enough; those chosen are off afterwards, all others on.

    Args:
        model: with all layers in low precision.
        layers: their names.
        switch: see `Switch`.
        context: calibration data, and the score if there is a validation split.
        batches: of calibration data, to measure errors on.
        keep: at least so many layers are switched off: a part of them below 1, a number from 1 on.
        max_drop: switch off more until the drop of `context.score` is at most this; the squared error as part of the
            answers' square where there is no validation split.
        rank_by: see `Sensitivity.ranked_by`. The error tells layers apart where an accuracy of few samples cannot, and
            leaves the validation split to judge the result.

    Returns:
        The ranking and what was switched off.

    Raises:
        RunError: the bound cannot be met, not even by the least sensitive layer alone; or there is no data.
    """
    most = math.ceil(keep * len(layers)) if keep < 1 else min(int(keep), len(layers) - 1)
    if not most and max_drop is None:
        return Sensitivity()
    judge = _Judge(model, layers, switch, context, batches)
    cost = judge.error if rank_by == "error" else judge.drop
    ranking = sorted(((name, cost({name})) for name in layers), key=lambda pair: -pair[1])
    worst = [name for name, _ in ranking]
    least = min(most, len(layers) - 1)
    bound = None
    if max_drop is not None:
        bounded = judge.drop if judge.can_score else judge.error
        least, found, first = _fewest(worst, least, lambda on: bounded(on), max_drop)
        bound = {
            "of": "score" if judge.can_score else "error",
            "max": max_drop,
            "without": float(f"{first:.4g}"),
            "with": float(f"{found:.4g}"),
        }
    judge.set(set(worst[least:]))
    return Sensitivity(tuple(ranking), rank_by, tuple(worst[:least]), bound)


def _fewest(
    worst: Sequence[str], start: int, cost: Callable[[set[str]], float], limit: float
) -> tuple[int, float, float]:
    """How many of the worst layers have to be left out, with what that costs, and what leaving out `start` costs.

    Doubles the number until the limit holds, then halves the distance: a deep network has many layers.
    """
    found: dict[int, float] = {}

    def holds(count: int) -> bool:
        found[count] = cost(set(worst[count:]))
        return found[count] <= limit

    high, step = start, 1
    while not holds(high):
        if high == len(worst) - 1:
            raise RunError(
                f"max_drop: {limit:g} cannot be met: with {worst[-1]!r} alone in low precision, the least sensitive "
                f"layer, it is {found[high]:.4g}",
                hint="raise max_drop, calibrate otherwise (`calibrator`, `batches`), or fine-tune after a larger drop",
            )
        low, high, step = high, min(high + step, len(worst) - 1), 2 * step
    if high > start:
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
    return high, found[high], found[start]


class _Judge:
    """Measures a model with some of its layers in low precision."""

    def __init__(
        self, model: nn.Module, layers: Sequence[str], switch: Switch, context: CompressionContext, batches: int
    ) -> None:
        self.model, self.layers, self.switch, self.context, self.batches = model, layers, switch, context, batches
        self.set(set())
        self.expected = [_flat(answer) for answer in answers(model, context.calibration(batches))]
        self.power = sum(float(answer.square().sum()) for answer in self.expected) or 1.0
        self.reference: float | None
        try:
            self.reference = context.score(model)
        except RunError:
            self.reference = None

    @property
    def can_score(self) -> bool:
        """Whether there is a validation split."""
        return self.reference is not None

    def set(self, on: set[str]) -> None:
        """Have these layers in low precision, and no others."""
        for name in self.layers:
            self.switch(name, name in on)

    def error(self, on: set[str]) -> float:
        """Squared error of the answers to calibration data, as part of their square."""
        self.set(on)
        said = answers(self.model, self.context.calibration(self.batches))
        lost = sum(
            float((_flat(answer) - expected).square().sum())
            for answer, expected in zip(said, self.expected, strict=True)
        )
        return lost / self.power

    def drop(self, on: set[str]) -> float:
        """How much worse the monitored metric on the validation split is."""
        if self.reference is None:
            raise RunError(
                "layers cannot be ranked by score: the recipe has no validation data",
                hint="fill data.val, or rank them by error",
            )
        self.set(on)
        return self.reference - self.context.score(self.model)


def _flat(answer: Any) -> Tensor:
    """All numbers of an answer in a row, on the CPU."""
    return torch.cat([tensor.detach().float().flatten().cpu() for tensor in _tensors(answer)])


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
