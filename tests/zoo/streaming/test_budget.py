"""When something is given up for latency, and when it is taken back."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.streaming.budget import FEWEST, LONGEST_PATIENCE, PATIENCE, SETTLING, Budget, Rung

NOBODY: Any = None
"""No predictor is asked here."""


def budget_of(rungs: int = 3) -> Budget:
    return Budget(100, [Rung(NOBODY, 2**at, f"rung {at}") for at in range(rungs)], say=lambda text: None)


def note(budget: Budget, *latencies: float, dropped: int = 0) -> None:
    for latency in latencies:
        budget.note(latency, dropped)


def test_one_late_answer_changes_nothing() -> None:
    budget = budget_of()
    note(budget, *[50] * 30, 500, *[50] * 30)
    assert budget.at == 0


@pytest.mark.parametrize(
    ("limit", "late", "words"),
    [(0.1, 3.2, "p95 3.2 ms of 0.1 ms"), (0.1, 0.34, "p95 0.34 ms of 0.1 ms"), (400, 611.7, "p95 612 ms of 400 ms")],
)
def test_small_budgets_are_said_as_they_are(limit: float, late: float, words: str) -> None:
    said: list[str] = []
    note(Budget(limit, [Rung(NOBODY, 2**at, "slower") for at in range(2)], said.append), *[late] * 10)
    assert said == [f"late: {words}; now slower"]


def test_many_late_answers_are_a_step_down() -> None:
    budget = budget_of()
    note(budget, *[50] * 30, 500, 500)
    assert budget.at == 1


def test_dropped_windows_are_late_ones() -> None:
    budget = budget_of()
    note(budget, *[50] * 30)
    note(budget, 50, dropped=2)
    assert budget.at == 1


def test_the_last_rung_is_kept_however_late_answers_are() -> None:
    budget = budget_of(rungs=2)
    note(budget, *[500] * 200)
    assert budget.at == 1


def test_the_first_answers_are_not_judged() -> None:
    budget = budget_of()
    note(budget, *[900] * SETTLING, *[50] * 40)
    assert budget.at == 0


def test_what_fits_the_budget_but_leaves_no_room_stays() -> None:
    budget = budget_of()
    note(budget, *[500] * (SETTLING + FEWEST))
    note(budget, *[80] * 500)
    assert budget.at == 1


def test_a_step_up_that_fails_is_waited_for_longer_each_time() -> None:
    """A model that is late at full rate and has room below it must not swing between the two."""
    budget, waits, since = budget_of(rungs=2), [], 0
    for _ in range(10_000):
        before = budget.at
        budget.note(500 if budget.at == 0 else 10, 0)
        since += 1
        if budget.at < before:
            waits.append(since)
        if budget.at != before:
            since = 0
    assert waits[0] == PATIENCE
    assert waits[:5] == [PATIENCE * 2**turn for turn in range(5)]
    assert max(waits) == LONGEST_PATIENCE
