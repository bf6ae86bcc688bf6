"""`zoo plugins`."""

from __future__ import annotations

from collections import Counter

import click

from zoo.cli.columns import print_columns

MANY = 200
"""A plugin with so many components of a kind is a family: counted, not listed."""


@click.command(epilog="Example:  zoo plugins --verbose")
@click.option("--verbose", "-v", is_flag=True, help="List every component of every plugin but those of large families.")
def plugins(verbose: bool) -> None:
    """List plugins, what they bring and what is wrong with them.

    A plugin that cannot be loaded is listed with its problem and takes nothing else down.
    """
    from zoo_registry.catalog import catalog
    from zoo_registry.hookspecs import HOOKS

    index = catalog()
    listed = [found for kind in HOOKS for found in index.list(kind)]
    problems = index.problems()
    brought = {
        id(plugin): Counter(found.entry.kind for found in listed if found.plugin is plugin) for plugin in index.plugins
    }
    rows = [
        (
            plugin.namespace,
            plugin.distribution,
            plugin.version,
            plugin.status,
            ", ".join(f"{count} {kind if count == 1 else plural(kind)}" for kind, count in brought[id(plugin)].items()),
            f"{plugin.seconds * 1000:.0f}",
        )
        for plugin in index.plugins
    ]
    print_columns(("namespace", "distribution", "version", "status", "brings", "ms"), rows, right=(5,))
    if verbose:
        for found in listed:
            if brought[id(found.plugin)][found.entry.kind] < MANY:
                click.echo(f"{found.entry.kind:13} {found.name:38} {found.entry.summary}")
    for problem in problems:
        click.echo(f"{click.style('problem:', fg='yellow')} {problem}", err=True)


def plural(kind: str) -> str:
    """`losses`, `models`."""
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"
