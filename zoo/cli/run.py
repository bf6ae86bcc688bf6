"""`zoo run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from zoo.cli.recipe import overrides


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
def run(recipe: str | None, overrides: tuple[str, ...], out: Path | None, resume: Path | None, publish: bool) -> None:
    """Run a recipe: train, evaluate, compress, export, publish.

    RECIPE is a name (see `zoo plugins -v`), a path or hf://org/repo. With --resume it may be left out.
    """
    if recipe is None and resume is None:
        raise click.UsageError("say which recipe to run, or --resume RUN")
    from zoo.runner.stages import run as run_recipe

    result = run_recipe(recipe, overrides, out=out, resume=resume, publish=publish)
    _print_summary(result.summary)
    click.echo(f"report  {result.folder / 'report.html'}")


def _print_summary(summary: Mapping[str, object]) -> None:
    """The headline numbers, one a line."""
    width = max((len(name) for name in summary), default=0)
    for name, value in summary.items():
        if isinstance(value, float):
            click.echo(f"{name:{width}}  {value:.4g}")
        elif isinstance(value, (int, str)):
            click.echo(f"{name:{width}}  {value}")
