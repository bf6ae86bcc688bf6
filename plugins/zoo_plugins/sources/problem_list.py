"""Problems of a long list: the first of them in full, the others as a number."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from zoo_registry.errors import DataError, Problem

MOST = 20
"""Problems that are told one by one."""


class ProblemList:
    """Takes in problems without keeping a million of them.

    Example:
        >>> problems = ProblemList()
        >>> problems.extend(Problem(f"row {row} is bad") for row in range(50))
        >>> len(problems), str(problems.told()[-1])
        (50, 'and 30 more')
    """

    def __init__(self) -> None:
        self._first: list[Problem] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, problems: Iterable[Problem], count: int | None = None) -> None:
        """Take in some more.

        Args:
            problems: made only as far as they are told.
            count: how many there are, where that is known; then the rest is not made at all.
        """
        if count is None:
            for problem in problems:
                self.add(problem)
        else:
            self._first += itertools.islice(problems, MOST)
            self._count += count

    def add(self, problem: Problem) -> None:
        """Take in one more."""
        self._count += 1
        if len(self._first) < 4 * MOST:
            self._first.append(problem)

    def refuse(self) -> None:
        """Stop here where there are any.

        Raises:
            DataError: all of them, as `told`.
        """
        if self._count:
            raise DataError(self.told())

    def told(self) -> list[Problem]:
        """The first ones by place in the file, then how many more there are."""
        ranked = sorted(self._first, key=lambda problem: problem.where.line if problem.where else 0)
        more = self._count - len(ranked[:MOST])
        return [*ranked[:MOST], *([Problem(f"and {more:,} more")] if more > 0 else [])]
