"""`zoo recipes` and `zoo recipe copy`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.columns import print_columns
from zoo.cli.table import TableOfCommands

COMMANDS = {"copy": ("zoo.cli.recipes", "Copy a recipe, to change it.")}
"""Every command of the group `zoo recipe`."""


@click.command(epilog="Example:  zoo recipes")
def recipes() -> None:
    """List recipes by name.

    They run by name (zoo run NAME), are extended by name (extends: NAME) and copied by zoo recipe copy NAME.
    """
    from zoo_registry.catalog import catalog

    rows = [(each.name, each.entry.summary, each.plugin.distribution) for each in catalog().list("recipe")]
    print_columns(("name", "what it does", "from"), rows)


@click.group(cls=TableOfCommands, table=COMMANDS, epilog="Example:  zoo recipe copy quickstart")
def recipe() -> None:
    """Copy recipes."""


@click.command(epilog="Example:  zoo recipe copy quickstart --to mine.yaml")
@click.argument("name")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="Where; by default ./NAME.yaml.")
def copy(name: str, to: Path | None) -> None:
    """Copy a recipe, to change it.

    NAME is a recipe by name, a run or hf://org/repo. It is copied as it was written, comments and `extends` included.
    """
    from zoo.recipe import copy_recipe

    click.echo(copy_recipe(name, to))
