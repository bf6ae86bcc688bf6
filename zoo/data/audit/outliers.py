"""Values that stand out from the rest of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEWEST = 8
"""Values below which nothing can be said to be usual."""

FAR = 3.5
"""Modified z-score of an outlier (Iglewicz and Hoaglin, "How to detect and handle outliers", 1993)."""

RARE = 0.1
"""Part of the values that may be alike and still be outliers: what more share is a second kind of film."""


def modified_z_scores(values: np.ndarray) -> np.ndarray:
    """How far each value is from the median, in robust standard deviations.

    Where more than half of the values are equal the median absolute deviation is zero; the mean absolute deviation
    then takes its place, with the factor that makes it a standard deviation of a normal distribution too.

    Example:
        >>> modified_z_scores(np.array([1.0, 2.0, 3.0, 4.0, 100.0])).round(2).tolist()
        [-1.35, -0.67, 0.0, 0.67, 65.43]
    """
    away = values - np.median(values)
    spread = np.median(np.abs(away)) / 0.6745
    if spread == 0:
        spread = np.abs(away).mean() * 1.253314
    scores: np.ndarray = away / spread if spread > 0 else np.zeros_like(away)
    return scores


def outlying(values: Sequence[float], factor: float) -> list[int]:
    """Which positive values stand out, in proportion.

    Args:
        values: all of them; they are compared by their logarithms.
        factor: how many times larger or smaller than the median a value has to be, however unusual it is.

    Returns:
        Their places.

    Example:
        >>> outlying([25.0] * 9 + [60.0, 24.0], factor=1.25)
        [9]
    """
    if len(values) < FEWEST:
        return []
    logs = np.log(np.maximum(np.asarray(values, float), 1e-9))
    unusual = np.abs(modified_z_scores(logs)) > FAR
    relevant = np.abs(logs - np.median(logs)) > np.log(factor)
    in_order = np.sort(logs)
    above = np.searchsorted(in_order, logs + np.log(factor), side="right")
    like = above - np.searchsorted(in_order, logs - np.log(factor), side="left")
    rare = like <= max(1.0, RARE * len(values))
    return [int(place) for place in np.flatnonzero(unusual & relevant & rare)]
