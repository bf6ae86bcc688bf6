"""`zoo run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.recipe import overrides

if TYPE_CHECKING:
    from zoo.report import Table


@click.command(epilog="Example:  zoo run quickstart --set run.epochs=2 --out runs/mine")
@click.argument("recipe", required=False)
@overrides
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; by default a new one below runs/.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with the run in this folder from its last checkpoint.",
)
@click.option(
    "--publish", is_flag=True, help="Let a recipe that came from elsewhere publish what its `publish` slot says."
)
@click.option(
    "--locked",
    is_flag=True,
    help="Refuse to begin with other versions, weights or data than the lock beside RECIPE names.",
)
def run(
    recipe: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    publish: bool,
    locked: bool,
) -> None:
    """Run a recipe: train, evaluate, compress, export, publish.

    RECIPE is a name (see `zoo recipes`), a path, the folder of a run, or hf://org/repo. With --resume it may be left
    out.
    """
    if recipe is None and resume is None:
        raise click.UsageError("say which recipe to run, or --resume RUN")
    from zoo.runner.stages import run as run_recipe

    result = run_recipe(recipe, overrides, out=out, resume=resume, publish=publish, locked=locked)
    _print_summary(result.summary)
    for table in result.tables:
        _print_table(table)
    click.echo(f"\nreport  {result.folder / 'report.html'}")


def _print_summary(summary: Mapping[str, object]) -> None:
    """The headline numbers, one a line; those of single classes are in the report."""
    shown = {name: value for name, value in summary.items() if name.count("/") < 2 or name.startswith("export/")}
    width = max(map(len, shown))
    for name, value in shown.items():
        click.echo(f"{name:{width}}  {value:.4g}" if isinstance(value, float) else f"{name:{width}}  {value}")


def _print_table(table: Table) -> None:
    """A table of the report, as text."""
    click.secho(f"\n{table.title}", bold=True)
    cells = [[_cell(cell) for cell in row] for row in table.rows]
    lines = [list(map(str, table.columns)), *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
