"""`zoo new`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.table import TableOfCommands

COMMANDS = {
    "plugin": ("zoo.cli.new", "Write a plugin: a package with a component of every kind, and its tests."),
}
"""Every command of the group: the module that holds it and what `zoo new --help` says of it."""


@click.group(cls=TableOfCommands, table=COMMANDS, epilog="Example:  zoo new plugin mine")
def new() -> None:
    """Write the first files of a plugin."""


@click.command(epilog="Example:  zoo new plugin mine --to ~/src/zoo-mine")
@click.argument("name")
@click.option("--to", type=click.Path(path_type=Path), metavar="FOLDER", help="Where; by default ./zoo-NAME.")
def plugin(name: str, to: Path | None) -> None:
    """Write a plugin: a package that pip can install, with a component of every kind, and its tests.

    NAME is its namespace: what it brings is called NAME/... in recipes.
    """
    from zoo.scaffold import check_name, write_plugin

    check_name(name)
    folder = (to or Path(f"zoo-{name.replace('_', '-')}")).expanduser()
    for path in write_plugin(name, folder):
        click.echo(path)
    click.echo(
        f"\ncd {folder}\npip install --editable '.[test]'\npytest\nzoo plugins check {name}\n\n"
        "Choose a licence: LICENSE and pyproject.toml say where."
    )
