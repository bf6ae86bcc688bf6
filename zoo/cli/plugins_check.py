"""`zoo plugins check`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zoo.testing.installed import Checked
    from zoo_registry.catalog import Catalog, Listed
    from zoo_registry.plugins import PluginRecord


@click.command(epilog="Example:  zoo plugins check acme")
@click.argument("name")
@click.option("--verbose", "-v", is_flag=True, help="Also say which checks were skipped, and why.")
@click.pass_context
def check(context: click.Context, name: str, verbose: bool) -> None:
    """Run the conformance checks on the components of an installed plugin.

    NAME is the plugin's namespace, or a qualified name such as acme/tiny for one component. Every component goes
    through the checks of its kind (zoo.testing). Exits with 1 when one fails, or when the plugin has problems. What
    cannot be checked without an example of its inputs is said to need a test of its own.
    """
    from zoo_registry.catalog import catalog
    from zoo_registry.errors import MissingExtra

    if importlib.util.find_spec("pytest") is None:
        raise MissingExtra("checks need pytest, which is not installed", hint='pip install "videozoo[testing]"')
    index = catalog()
    record = _record(index, name.partition("/")[0])
    problems = [problem for problem in index.problems() if problem.where == record.where]
    for problem in problems:
        click.echo(f"{click.style('problem:', fg='red')} {problem}", err=True)
    if record.status != "loaded":
        click.echo(f"{record.where} is {record.status}{f': {record.remedy}' if record.remedy else ''}", err=True)
        context.exit(1)
    components = _components(index, record, name)
    if not components:
        click.echo(f"{record.where} brings nothing", err=True)
        context.exit(1)

    from zoo.testing.installed import check_installed

    width = max(len(each.name) for each in components)
    checked = check_installed(components, lambda each: _print(each, width, verbose))
    failed = sum(bool(each.failures) for each in checked)
    waiting = sum(bool(each.needs) for each in checked)
    click.echo(
        f"{record.namespace} ({record.distribution} {record.version}): {len(checked)} components, {failed} failed"
        f"{f', {waiting} to be tested by their author' if waiting else ''}"
        f"{f', {len(problems)} problems' if problems else ''}"
    )
    context.exit(int(bool(failed or problems)))


def _record(index: Catalog, namespace: str) -> PluginRecord:
    """The plugin of a namespace."""
    from zoo_registry.errors import PluginError
    from zoo_registry.names import nearest

    found = [plugin for plugin in index.plugins if plugin.namespace == namespace]
    if not found:
        near = nearest(namespace, [plugin.namespace for plugin in index.plugins])
        hint = f"did you mean {' or '.join(near)}?" if near else "see zoo plugins"
        raise PluginError(f"no plugin has the namespace {namespace!r}", hint=hint)
    return next((plugin for plugin in found if plugin.status == "loaded"), found[0])


def _components(index: Catalog, record: PluginRecord, name: str) -> list[Listed]:
    """All of a plugin's components, deprecated ones too, or those of one qualified name."""
    from zoo_registry.errors import UnknownName
    from zoo_registry.hookspecs import HOOKS
    from zoo_registry.names import nearest

    everything = [each for kind in HOOKS for each in index.list(kind, deprecated=True) if each.plugin is record]
    if "/" not in name:
        return everything
    found = [each for each in everything if each.name == name]
    if not found:
        near = nearest(name, [each.name for each in everything])
        hint = f"did you mean {' or '.join(near)}?" if near else "see zoo plugins --verbose"
        raise UnknownName(f"the plugin {record.namespace} has no component {name!r}", hint=hint)
    return found


def _print(checked: Checked, width: int, verbose: bool) -> None:
    """A line for a component, and one for each thing that is wrong with it."""
    counts = f"{checked.passed} passed" + (f", {len(checked.skipped)} skipped" if checked.skipped else "")
    status = click.style(f"FAILED {len(checked.failures)}, ", fg="red") if checked.failures else ""
    status = "needs a test of its own, " if checked.needs and not checked.failures else status
    click.echo(f"{checked.name:{width}}  {checked.kind:12}  {status}{counts}")
    for name, text in checked.failures:
        click.echo(f"    {name}: {_indented(text)}")
    for text in checked.needs:
        click.echo(f"    {_indented(text)}")
    for name, text in checked.skipped if verbose else ():
        click.echo(f"    skipped {name}: {_indented(text)}")


def _indented(text: str) -> str:
    return text.replace("\n", "\n        ")
