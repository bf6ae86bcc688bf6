"""Several runs on one page: their numbers, what differs in their recipes, and their curves over one another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.recipe.comparison import compared, shown
from zoo.report.history import curves
from zoo.report.page import write_report
from zoo.report.table import Table
from zoo.runs import RunRecord
from zoo_registry.errors import RunError
from zoo_registry.protocols import Series


def write_comparison(runs: Sequence[RunRecord], path: Path) -> Path:
    """Write one HTML file that needs no network, no script and no other file.

    Args:
        runs: at least one; from `zoo.runs.find_runs`.
        path: the file; replaced if it is there.

    Returns:
        `path`. It appears whole or not at all.

    Raises:
        RunError: it cannot be written.

    Example:
        >>> write_comparison(find_runs([Path("runs")]), Path("comparison.html"))                  # doctest: +SKIP
        PosixPath('comparison.html')
    """
    names = short_names([run.path for run in runs])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".comparison-") as place:
            page = write_report(
                Path(place),
                title=f"{len(runs)} runs" if len(runs) > 3 else " · ".join(names),
                summary={},
                history=[],
                figures=overlaid({name: run.history for name, run in zip(names, runs, strict=True)}),
                clips=None,
                recipe_yaml="",
                tables=[_numbers(names, runs), recipe_differences(names, [run.data for run in runs])],
            )
            os.replace(page, path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}", hint="choose another file") from error
    return path


def short_names(paths: Sequence[Path]) -> list[str]:
    """Paths without what they all begin with."""
    if len(paths) < 2:
        return [path.name or str(path) for path in paths]
    above = Path(os.path.commonpath([path.resolve() for path in paths]))
    return [path.resolve().relative_to(above).as_posix() for path in paths]


def overlaid(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Series]:
    """One figure for each quantity of each split, with a curve for every run that has it.

    Args:
        histories: rows of `metrics.jsonl` by the name of the run.

    Example:
        >>> row = {"step": 1, "split": "val", "accuracy": 0.5}
        >>> [(figure.title, [*figure.curves]) for figure in overlaid({"a": [row], "b": [row]})]
        [('Accuracy · val', ['a', 'b'])]
    """
    found: dict[str, dict[str, Any]] = {}
    for name, history in histories.items():
        for series in curves(history):
            for label, points in series.curves.items():
                title = " · ".join(filter(None, (series.title, label)))
                found.setdefault(title, {})[name] = points
    return [Series(title, by_run, x_axis="step") for title, by_run in found.items()]


def recipe_differences(names: Sequence[str], recipes: Sequence[Mapping[str, Any]]) -> Table:
    """Every value that is not the same in all recipes.

    Args:
        names: of the runs.
        recipes: as plain data.
    """
    first = recipes[0]
    rows: dict[str, dict[int, str]] = {}
    for number, other in enumerate(recipes[1:], start=1):
        for difference in compared(first, other):
            row = rows.setdefault(difference.name, {0: shown(difference.one)})
            row[number] = shown(difference.other)
    cells = [(key, *(row.get(number, row[0]) for number in range(len(recipes)))) for key, row in rows.items()]
    return Table("Recipes", ("recipe", *names), cells, "" if cells else "The recipes are the same.")


def _numbers(names: Sequence[str], runs: Sequence[RunRecord]) -> Table:
    """A row for each run."""
    metrics = list(dict.fromkeys(metric for run in runs for metric in run.metrics))
    columns = ("run", "recipe", "model", "status", "epochs", *metrics, "samples_per_s", "seconds", "kWh", "note")
    rows = [
        (
            name, run.recipe, run.model, run.status, run.epochs, *(run.metrics.get(metric) for metric in metrics),
            run.samples_per_s, run.seconds, run.kwh, "; ".join(run.notes),
        )
        for name, run in zip(names, runs, strict=True)
    ]  # fmt: skip
    return Table("Runs", columns, rows)
