"""`zoo runs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.columns import print_columns

if TYPE_CHECKING:
    from zoo.runs import RunRecord

_METRICS = 3


@click.command(epilog="Example:  zoo runs runs/motions runs/motions-2 --html comparison.html")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Compare them on a page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a run.")
def runs(folders: tuple[Path, ...], html: Path | None, as_json: bool) -> None:
    """List runs, or compare them.

    FOLDERS are runs, or folders with runs at any depth; runs/ by default. The run that wrote last comes first. A page
    holds their numbers, what differs in their recipes, and their curves over one another.
    """
    from zoo.runs import find_runs

    found = find_runs(folders or [Path("runs")])
    if not found:
        click.echo(f"no runs in {', '.join(map(str, folders)) or 'runs'}", err=True)
        return
    if as_json:
        for run in found:
            click.echo(json.dumps(run.to_json(), ensure_ascii=False))
    elif html is None:
        print_columns(
            ("run", "recipe", "model", "status", "epochs", "results", "samples/s", "time", "kWh", "written", "note"),
            map(_row, found),
            right=(4, 6, 7, 8),
        )
    if html is not None:
        from zoo.report.run_comparison import write_comparison

        click.echo(write_comparison(found, html), err=as_json)


def _row(run: RunRecord) -> tuple[object, ...]:
    from zoo.report.wording import quantity

    results = ", ".join(f"{name} {value:.4g}" for name, value in list(run.metrics.items())[:_METRICS])
    return (
        run.path,
        run.recipe,
        run.model,
        run.status,
        "/".join("?" if count is None else str(count) for count in (run.epochs, run.epochs_wanted)),
        results,
        None if run.samples_per_s is None else f"{run.samples_per_s:.4g}",
        None if run.seconds is None else quantity("seconds", run.seconds),
        None if run.kwh is None else f"{run.kwh:.3g}",
        f"{run.updated.astimezone():%Y-%m-%d %H:%M}" if run.updated else None,
        "; ".join(run.notes),
    )
