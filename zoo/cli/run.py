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
@click.option(
    "--profile",
    is_flag=True,
    help="Look closely at a few steps: a trace for Perfetto and the ten longest operations, in the run's profile/.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train in so many processes on this machine, each on a GPU of its own where there are GPUs. run.batch is that "
    "of all together. Over several machines start `zoo run` by torchrun.",
)
@click.option(
    "--restarts",
    type=click.IntRange(min=0),
    default=0,
    metavar="K",
    help="With --processes: when one is lost, start all again from the last checkpoint, at most K times.",
)
@click.pass_context
def run(
    context: click.Context,
    recipe: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    publish: bool,
    locked: bool,
    profile: bool,
    processes: int | None,
    restarts: int,
) -> None:
    """Run a recipe: train, evaluate, compress, export, publish.

    RECIPE is a name (see `zoo recipes`), a path, the folder of a run, or hf://org/repo. With --resume it may be left
    out.
    """
    if recipe is None and resume is None:
        raise click.UsageError("say which recipe to run, or --resume RUN")
    if processes is not None and processes > 1:
        from zoo.runner.launch import launch

        again = [word for name in overrides for word in ("--set", name)]
        again += ["--publish"] if publish else []
        again += ["--locked"] if locked else []
        again += ["--profile"] if profile else []
        context.exit(launch(recipe, overrides, again, processes, out=out, resume=resume, restarts=restarts))
    if restarts:
        raise click.UsageError("--restarts needs --processes")
    from zoo.runner.stages import run as run_recipe

    result = run_recipe(recipe, overrides, out=out, resume=resume, publish=publish, locked=locked, profile=profile)
    if not result.main:
        return
    print_summary(result.summary)
    for table in result.tables:
        print_table(table)
    click.echo(f"\nreport  {result.folder / 'report.html'}")


def print_summary(summary: Mapping[str, object]) -> None:
    """The headline numbers, one a line; those of single classes are in the report."""
    shown = {name: value for name, value in summary.items() if name.count("/") < 2 or name.startswith("export/")}
    width = max(map(len, shown))
    for name, value in shown.items():
        click.echo(f"{name:{width}}  {value:.4g}" if isinstance(value, float) else f"{name:{width}}  {value}")


def print_table(table: Table) -> None:
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
