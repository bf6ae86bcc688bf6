"""Numbers about a stream of any length, in memory that does not grow."""

from __future__ import annotations

import math
import os
from collections import Counter

_STEP = math.log(1.01)


class Quantiles:
    """Quantiles of positive numbers, within one part in a hundred: they are counted in cells that wide.

    Example:
        >>> latencies = Quantiles()
        >>> for value in range(1, 101):
        ...     latencies.add(value)
        >>> round(latencies.at(0.5)), round(latencies.at(0.95))
        (50, 95)
    """

    def __init__(self) -> None:
        self._cells: Counter[int] = Counter()
        self.count = 0

    def add(self, value: float) -> None:
        """Count a number; what is below a thousandth counts as that."""
        self._cells[round(math.log(max(value, 1e-3)) / _STEP)] += 1
        self.count += 1

    def at(self, part: float) -> float | None:
        """The number that this part (0..1) of all does not exceed; None where there are none."""
        passed = 0
        for cell in sorted(self._cells):
            passed += self._cells[cell]
            if passed >= part * self.count:
                return math.exp(cell * _STEP)
        return None


def resident_bytes() -> int:
    """Memory of this process that is in use (RSS), in bytes; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0
