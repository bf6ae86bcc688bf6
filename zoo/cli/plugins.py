"""`zoo plugins`: the list, and which of them are loaded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from zoo.cli.columns import print_columns
from zoo.cli.table import TableOfCommands

if TYPE_CHECKING:
    from zoo_registry.errors import Problem
    from zoo_registry.plugins import PluginRecord

MANY = 200
"""A plugin with so many components of a kind is a family: counted, not listed."""

COMMANDS = {
    "check": ("zoo.cli.plugins_check", "Run the conformance checks on the components of an installed plugin."),
}
"""Every command of the group: the module that holds it and what `zoo plugins --help` says of it."""


@click.group(
    cls=TableOfCommands,
    table=COMMANDS,
    invoke_without_command=True,
    subcommand_metavar="[check NAME]",
    epilog="Example:  zoo plugins --verbose",
)
@click.option("--verbose", "-v", is_flag=True, help="List every component of every plugin but those of large families.")
@click.option("--disable", "off", multiple=True, metavar="NAME", help="Do not load this plugin any more.")
@click.option("--enable", "on", multiple=True, metavar="NAME", help="Load it again.")
@click.pass_context
def plugins(context: click.Context, verbose: bool, off: tuple[str, ...], on: tuple[str, ...]) -> None:
    """List plugins, what they bring, how long they take to load and what is wrong with them.

    A plugin that cannot be loaded is listed with its problem and takes nothing else down. Plugins of others can be
    disabled, by the namespace that is listed first. ZOO_PLUGINS=a,b in the environment loads these and no others.
    """
    if context.invoked_subcommand is not None:
        if verbose or off or on:
            raise click.UsageError(f"options belong behind {context.invoked_subcommand}", context)
    elif off or on:
        _switch(off, on)
    else:
        _print_all(verbose)


def _print_all(verbose: bool) -> None:
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
            None if plugin.status in ("disabled", "refused") else f"{plugin.seconds * 1000:.0f}",
        )
        for plugin in index.plugins
    ]
    print_columns(("namespace", "distribution", "version", "status", "brings", "ms"), rows, right=(5,))
    if verbose:
        for found in listed:
            if brought[id(found.plugin)][found.entry.kind] < MANY:
                click.echo(f"{found.entry.kind:13} {found.name:38} {found.entry.summary}")
    for plugin in index.plugins:
        if plugin.remedy:
            click.echo(f"{plugin.namespace} is disabled: {plugin.remedy}", err=True)
    for problem in problems:
        click.echo(f"{click.style('problem:', fg='yellow')} {problem}", err=True)


def _switch(off: tuple[str, ...], on: tuple[str, ...]) -> None:
    """Change the list of disabled plugins; nothing is changed where one of the names is wrong."""
    from zoo_registry.chosen import VARIABLE, read_chosen, write_disabled
    from zoo_registry.claims import installed
    from zoo_registry.errors import PluginError

    records = [record for record, _ in installed()]
    chosen = read_chosen()
    if chosen.problems:
        raise PluginError(chosen.problems)
    wrong = [
        *(_fault(name, records) for name in off),
        *(_fault(name, records) for name in on if name not in chosen.disabled),
    ]
    if problems := [each for each in wrong if each is not None]:
        raise PluginError(problems)
    if both := set(off) & set(on):
        raise click.UsageError(f"{', '.join(sorted(both))} cannot be disabled and enabled at once")
    path = write_disabled({*chosen.disabled, *off} - set(on))
    for name in off:
        click.echo(f"{name} is disabled in {path}; zoo plugins --enable {name} undoes it")
    for name in on:
        click.echo(f"{name} is enabled")
    if chosen.only is not None:
        click.echo(f"{VARIABLE}={','.join(chosen.only)} goes before the list, as long as it is set", err=True)


def _fault(name: str, records: list[PluginRecord]) -> Problem | None:
    """Why a plugin cannot be switched; None when it can."""
    from zoo_registry.errors import Problem
    from zoo_registry.names import nearest
    from zoo_registry.plugin_record import OWN, normalized

    found = [record for record in records if record.namespace == name]
    if any(record.is_own for record in found):
        return Problem(f"{name} belongs to {OWN}, which is always loaded")
    if found:
        return None
    of_distribution = [record.namespace for record in records if normalized(record.distribution) == normalized(name)]
    near = of_distribution or nearest(name, [record.namespace for record in records if not record.is_own])
    hint = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else "see zoo plugins"
    return Problem(f"no plugin has the namespace {name!r}", hint=hint)


def plural(kind: str) -> str:
    """`losses`, `models`."""
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"
