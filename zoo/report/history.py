"""Training curves from the rows of `metrics.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from zoo.report.wording import name, sentence
from zoo_registry.protocols import Series

_NO_CURVE = frozenset({"step", "epoch", "time", "samples_per_s"})
_OF_TRAINING = {"lr": 2, "skipped_steps": 3, "time_share": 4, "gpu_memory_gib": 5}
"""What only training has, so that the split need not be named; they come last, in this order."""

_SPLITS = ("train", "val", "test")


def curves(history: Sequence[Mapping[str, Any]]) -> list[Series]:
    """Gather the numbers of a run's history into figures: the loss first, what only training has last.

    `accuracy` of train and val share a figure; so do `loss/critic` and `loss/generator`. Where a quantity is there as a
    whole and in parts (`f1` and `f1/left`, `f1/right`, ... of every class), the whole is drawn.
    Points that are null, NaN or infinite stay in: what is drawn has a gap there.

    Args:
        history: rows as in `metrics.jsonl`: `step`, `epoch`, `split` and any numbers.

    Returns:
        One `Series` per quantity, over optimiser steps; none for an empty history.

    Example:
        >>> rows = [{"step": 1, "split": "train", "loss": 1.8, "lr": 0.1}, {"step": 1, "split": "val", "loss": 1.7}]
        >>> [(figure.title, sorted(figure.curves)) for figure in curves(rows)]
        [('Loss', ['train', 'val']), ('Learning rate', [''])]
    """
    quantities: dict[str, dict[tuple[str, str], list[tuple[float, float]]]] = {}
    for row in history:
        step = row.get("step")
        if not _is_number(step):
            continue
        for key, value in row.items():
            value = math.nan if value is None else value  # JSON has no NaN
            if key in _NO_CURVE or not _is_number(value):
                continue
            quantity, _, part = key.partition("/")
            split = "" if quantity in _OF_TRAINING else str(row.get("split", ""))
            points = quantities.setdefault(quantity, {}).setdefault((part, split), [])
            points.append((float(step), float(value)))
    ordered = sorted(quantities, key=lambda quantity: 0 if quantity == "loss" else _OF_TRAINING.get(quantity, 1))
    return [Series(sentence(key), _named(quantities[key]), x_axis="step") for key in ordered]


def _named(points: Mapping[tuple[str, str], list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """Curves by the words of their legend, training before validation; the whole where there is one, else its parts."""
    has_whole = any(not part for part, _ in points)
    shown = [(part, split) for part, split in points if not (part and has_whole)]
    order = sorted(shown, key=lambda key: _SPLITS.index(key[1]) if key[1] in _SPLITS else len(_SPLITS))
    return {" · ".join(filter(None, (name(part), name(split)))): points[part, split] for part, split in order}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
