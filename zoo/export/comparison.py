"""How far two models are from saying the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo_registry.protocols import Outputs

CLASSES = "_bk"
"""Names of outputs with a score per sample and class end so; their first answer is the highest score."""


@dataclass(frozen=True)
class Comparison:
    """Two models' outputs for the same samples.

    Attributes:
        max_difference: largest absolute difference of two numbers, divided by the largest number of that output in the
            batch where this is above 1; infinite where shapes or names differ or one side is NaN.
        agreement: part of the samples with the same first answer; None where no output has scores per class.
        samples: how many were compared.
        furthest: name of the output with the largest difference; empty where all are the same.
    """

    max_difference: float
    agreement: float | None
    samples: int
    furthest: str = field(default="", repr=False)


def compare(pairs: Iterable[tuple[Outputs, Outputs]]) -> Comparison:
    """Compare outputs batch by batch.

    Args:
        pairs: (expected, found) for each batch.

    Example:
        >>> scores, other = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.5, 0.75]])
        >>> compare([({"logits_bk": scores}, {"logits_bk": other})])
        Comparison(max_difference=0.75, agreement=0.5, samples=2)
    """
    largest, furthest, samples, agreeing, classified = 0.0, "", 0, 0, 0
    for expected, found in pairs:
        for key, apart in differences(expected, found).items():
            if apart > largest:
                largest, furthest = apart, key
        samples += max((len(value) for value in expected.values()), default=0)
        for key, scores in expected.items():
            if key.endswith(CLASSES) and isinstance(scores, Tensor):
                classified += len(scores)
                agreeing += _same_answers(scores, found.get(key))
    return Comparison(largest, agreeing / classified if classified else None, samples, furthest)


def cosine(pairs: Iterable[tuple[Outputs, Outputs]]) -> float | None:
    """Mean cosine similarity of two models' answers to the same samples, over all outputs.

    Args:
        pairs: (expected, found) for each batch.

    Returns:
        1 for answers that point the same way; None where no outputs could be compared, or their shapes differ.

    Example:
        >>> cosine([({"logits_bk": torch.tensor([[3.0, 4.0]])}, {"logits_bk": torch.tensor([[4.0, 3.0]])})])  # 24 / 25
        0.96
    """
    similar: list[Tensor] = []
    for expected, found in pairs:
        for key in expected:
            for one, other in _tensors(expected[key], found.get(key)):
                if one is None or other is None or one.shape != other.shape:
                    return None
                if one.numel() and one.dim() and one.is_floating_point():
                    first, second = (each.detach().double().reshape(len(each), -1) for each in (one, other))
                    similar.append(torch.cosine_similarity(first, second, dim=-1))
    return round(float(torch.cat(similar).mean()), 6) if similar else None


def difference(expected: Outputs, found: Outputs) -> float:
    """`Comparison.max_difference` of one batch."""
    return max(differences(expected, found).values(), default=0.0)


def differences(expected: Outputs, found: Outputs) -> dict[str, float]:
    """The same for each output by name; one that only one side has is infinitely far."""
    apart = {key: float("inf") for key in {*expected, *found}}
    for key in expected.keys() & found.keys():
        apart[key] = max((_of_tensors(*pair) for pair in _tensors(expected[key], found[key])), default=0.0)
    return apart


def _of_tensors(expected: Tensor | None, found: Tensor | None) -> float:
    if expected is None or found is None or expected.shape != found.shape:
        return float("inf")
    if not expected.numel():
        return 0.0
    a, b = expected.detach().cpu().double(), found.detach().cpu().double()
    apart = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs()).nan_to_num(nan=float("inf"))
    scale = a[a.isfinite()].abs().amax().item() if a.isfinite().any() else 1.0
    return float(apart.amax()) / max(1.0, scale)


def _tensors(expected: Any, found: Any) -> Iterator[tuple[Tensor | None, Tensor | None]]:
    """Tensors at the same place; a missing one is None. What is no tensor is not compared."""
    if isinstance(expected, Tensor) or isinstance(found, Tensor):
        yield (expected if isinstance(expected, Tensor) else None, found if isinstance(found, Tensor) else None)
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        if len(expected) != len(found):
            yield None, None
        for first, second in zip(expected, found, strict=False):
            yield from _tensors(first, second)


def _same_answers(scores: Tensor, other: Any) -> int:
    if not isinstance(other, Tensor) or other.shape != scores.shape:
        return 0
    return int((scores.cpu().argmax(-1) == other.cpu().argmax(-1)).sum())
