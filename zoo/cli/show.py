"""`zoo show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from zoo_registry.entries import ClipSpec


@click.command(epilog="Example:  zoo show torchvision/r3d_18")
@click.argument("name")
@click.option("--kind", metavar="KIND", help="model, loss, augmentation, ...; needed where several kinds share a name.")
def show(name: str, kind: str | None) -> None:
    """Show everything known about one component.

    NAME is a model, a loss, an augmentation, a task, a source, a compression strategy, an exporter or a recipe.
    """
    from zoo.build import parameters
    from zoo_registry.entries import Recipe

    listed = _find(name, kind)
    entry = listed.entry
    click.secho(f"{listed.name}  ({entry.kind})", bold=True)
    if entry.summary:
        click.echo(entry.summary)
    for label, value in _facts(listed):
        click.echo(f"  {label:12}{value}")
    if isinstance(entry, Recipe):
        return
    signature = [parameter for parameter in parameters(listed) if parameter.name not in entry.fixed]
    if signature:
        click.echo("  params")
        for parameter in signature:
            click.echo(f"    {parameter}")


def _find(name: str, kind: str | None) -> Any:
    """The one component of that name, whatever its kind."""
    from zoo_registry.catalog import catalog
    from zoo_registry.entries import Model
    from zoo_registry.errors import Problem, UnknownName
    from zoo_registry.hookspecs import HOOKS
    from zoo_registry.names import Name

    index = catalog()
    if kind is not None:
        if kind not in HOOKS:
            raise UnknownName(f"{kind!r} is no kind of component", hint=f"the kinds are {', '.join(HOOKS)}")
        return index.resolve(kind, name)
    found: list[Any] = []
    misses: list[Problem] = []
    wanted = [Model.kind] if Name.parse(name).tag else list(HOOKS)
    for each in wanted:
        try:
            found.append(index.resolve(each, name))
        except UnknownName as error:
            misses.extend(error.problems)
    if len(found) > 1:
        kinds = ", ".join(listed.entry.kind for listed in found)
        raise click.UsageError(f"{name!r} is the name of several kinds: {kinds}; say --kind")
    if not found:
        near = dict.fromkeys(problem.hint for problem in misses if problem.hint)
        raise UnknownName(
            Problem(f"nothing is called {name!r}", hint="; ".join(near) or "see zoo models, zoo plugins -v")
        )
    return found[0]


def _facts(listed: Any) -> Iterator[tuple[str, object]]:
    """Label and value of what the entry says."""
    entry, plugin = listed.entry, listed.plugin
    yield "plugin", f"{plugin.namespace} ({plugin.distribution} {plugin.version})"
    for label in ("task", "licence", "source", "extra", "deprecated"):
        if getattr(entry, label, None):
            yield label, getattr(entry, label)
    if entry.aliases:
        yield "aliases", ", ".join(entry.aliases)
    if getattr(entry, "inputs", None):
        yield "inputs", ", ".join(entry.inputs)
    if getattr(entry, "parameters", None):
        yield "parameters", f"{entry.parameters:,} (400 classes)"
    spec = getattr(entry, "clip", None)
    if spec:
        yield "clip", _in_words(spec)
    for weights in getattr(entry, "weights", ()):
        claims = ", ".join(f"{metric} {value:g} (claimed)" for metric, value in weights.metrics.items())
        yield "weights", f".{weights.tag}  {weights.source}  licence {weights.licence or 'unknown'}  {claims}".rstrip()
    for role in getattr(entry, "roles", ()):
        yield "loss role", role


def _in_words(spec: ClipSpec) -> str:
    """`16 frames, one of every 4 at 15 frames/s, 224x224, resized to 256 first`."""
    height, width = spec.height_width
    resized = f", resized to {spec.resize} first" if spec.resize else ""
    return f"{spec.moments}, {height}x{width}{resized}"
