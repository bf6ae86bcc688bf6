"""Measures what a model claims of itself once more: what `zoo verify` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.runner.evaluate_saved import evaluate_saved
from zoo_registry.errors import ArtefactError


@dataclass(frozen=True)
class Claim:
    """A number that somebody gives for a model.

    Attributes:
        metric: its name, such as `accuracy`.
        claimed: what the model's folder, its card or the entry of its weights says.
        measured: what came out here.
    """

    metric: str
    claimed: float
    measured: float

    @property
    def difference(self) -> float:
        """By how much more was measured than claimed."""
        return self.measured - self.claimed


def verify(reference: str, *, split: str = "val", **options: Any) -> list[Claim]:
    """Measure again what a model claims, by the metrics of its task.

    Args:
        reference: what `zoo.load` takes.
        split: `train`, `val` or `test`: the part of the data, and whose claims are held against it; claims that name no
            split are always.
        options: of `zoo.runner.evaluate_saved.evaluate_saved`: source, overrides, views, batch, device.

    Raises:
        ArtefactError: it claims nothing that its task measures.
        ZooError: no data, or labels that the model does not know.
    """
    from zoo.model import load

    claims = claims_on(load(reference).metrics, split)
    if not claims:
        raise ArtefactError(
            f"{reference} claims nothing of {split} data", hint="zoo evaluate measures a model without claims"
        )
    measured = evaluate_saved(reference, split=split, **options)
    found = [Claim(metric, value, measured[metric]) for metric, value in claims.items() if metric in measured]
    if not found:
        raise ArtefactError(
            f"{reference} claims {', '.join(claims)}, and its task measures none of these",
            hint=f"it measures {', '.join(name for name in measured if '/' not in name)}",
        )
    return found


def claims_on(metrics: Mapping[str, float | None], split: str) -> dict[str, float]:
    """The claims on a split, by the metric's own name.

    Example:
        >>> claims_on({"val/accuracy": 0.9, "test/accuracy": 0.8, "top5": 0.99}, "test")
        {'accuracy': 0.8, 'top5': 0.99}
    """
    claims = {name: value for name, value in metrics.items() if "/" not in name and value is not None}
    own = {name.removeprefix(f"{split}/"): value for name, value in metrics.items() if name.startswith(f"{split}/")}
    return {name: value for name, value in (own | claims).items() if value is not None}
