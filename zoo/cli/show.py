"""`zoo show`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from zoo_registry.entries import ClipSpec, Weights
from zoo_registry.licences import is_non_commercial


@click.command(epilog="Example:  zoo show torchvision/r3d_18")
@click.argument("name")
@click.option("--kind", metavar="KIND", help="model, loss, augmentation, ...; needed where several kinds share a name.")
@click.option(
    "--diagram",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw a model's structure as .svg or .png.",
)
def show(name: str, kind: str | None, diagram: Path | None) -> None:
    """Show everything known about one component.

    NAME is a model, a loss, an augmentation, a task, a source, a compression strategy, an exporter or a recipe. What a
    model costs is counted for one clip of its clip spec.
    """
    from zoo.build import parameters
    from zoo_registry.entries import Model, Recipe
    from zoo_registry.errors import MissingExtra

    listed = _find(name, kind)
    if diagram is not None:
        _refuse_diagram(listed, diagram)
    entry = listed.entry
    click.secho(f"{listed.name}  ({entry.kind})", bold=True)
    if entry.summary:
        click.echo(entry.summary)
    for label, value in _facts(listed):
        click.echo(f"  {label:12}{value}")
    if isinstance(entry, Recipe):
        return
    try:
        signature = [parameter for parameter in parameters(listed) if parameter.name not in entry.fixed]
    except MissingExtra as error:  # what is declared can be shown without the packages
        if diagram is not None:
            raise
        click.echo(f"  {'params':12}not known: {error}")
        return
    if signature:
        click.echo("  params")
        for parameter in signature:
            click.echo(f"    {parameter}")
    if isinstance(entry, Model):
        _count(listed, diagram)


def _refuse_diagram(listed: Any, path: Path) -> None:
    """Say that there is nothing to draw, before anything else is said."""
    if listed.entry.kind != "model":
        raise click.UsageError(f"--diagram draws models, {listed.name} is a {listed.entry.kind}")
    if path.suffix not in (".svg", ".png"):
        raise click.UsageError(f"--diagram writes .svg or .png, not {path.name}")


def _count(listed: Any, picture: Path | None) -> None:
    """What the model costs, counted without computing anything, and its picture."""
    from zoo.complexity import OF_NATIVE, complexity, without_memory
    from zoo_registry.errors import ZooError

    try:
        module, example = without_memory(listed)
        cost = complexity(module, example)
    except ZooError as error:
        if picture is not None:
            raise
        click.echo(f"  {'cost':12}not counted: {error}")
        return
    click.echo(f"  {'cost':12}{cost.parameters:,} parameters, {cost.gmacs:.3f} GMACs, {cost.activations:,} activations")
    pixels = " of {}x{}".format(*OF_NATIVE) if listed.model.clip is not None and listed.model.clip.native else ""
    click.echo(f"  {'':12}for one clip{pixels} and 400 classes")
    if picture is not None:
        from zoo.report import diagram

        diagram(module, example, picture, title=listed.name)
        click.echo(f"  {'diagram':12}{picture}")


def _find(name: str, kind: str | None) -> Any:
    """The one component of that name, whatever its kind."""
    from zoo_registry.catalog import catalog
    from zoo_registry.entries import Model
    from zoo_registry.errors import Problem, UnknownName
    from zoo_registry.hookspecs import HOOKS
    from zoo_registry.names import Name, reference_kind

    index = catalog()
    if reference_kind(name) == "uri":
        raise click.UsageError(f"{name} is no component of the catalogue; zoo pull {name} fetches and describes it")
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
    for label, field in (("task", "task"), ("licence", "licence"), ("paper", "source"), ("extra", "extra"),
                         ("deprecated", "deprecated")):  # fmt: skip
        if getattr(entry, field, None):
            yield label, getattr(entry, field)
    if entry.aliases:
        yield "aliases", ", ".join(entry.aliases)
    if getattr(entry, "inputs", None):
        yield "inputs", ", ".join(entry.inputs)
    spec = getattr(entry, "clip", None)
    if spec:
        yield "clip", _in_words(spec)
    for weights in getattr(entry, "weights", ()):
        yield from _of_weights(weights)
    if getattr(entry, "layouts", None):
        yield "converts", f"checkpoints of {', '.join(entry.layouts)} (zoo convert)"
    for check, why in getattr(entry, "limits", {}).items():
        yield "limit", f"{check}: {why}"
    for role in getattr(entry, "roles", ()):
        yield "loss role", role


def _of_weights(weights: Weights) -> Iterator[tuple[str, object]]:
    """The lines of published weights: where they are, their licence, what is claimed of them and by whom."""
    yield "weights", f".{weights.tag}  {weights.source}"
    classes = f"{weights.labels} classes{'' if weights.label_file else ' without names'}" if weights.labels else None
    use = ", no commercial use" if is_non_commercial(weights.licence) else ""
    yield "", ", ".join(filter(None, (classes, f"licence {weights.licence or 'unknown'}{use}")))
    claims = ", ".join(f"{metric} {value:g}" for metric, value in weights.metrics.items())
    if claims:
        yield "", f"{claims} (claimed{f' by {weights.claimed_by}' if weights.claimed_by else ''})"


def _in_words(spec: ClipSpec) -> str:
    """`16 frames, one of every 4 at 15 frames/s, 224x224, resized to 256 first`."""
    resized = f", resized to {spec.resize} first" if spec.resize else ""
    if isinstance(spec.resize, str) and not spec.native:
        resized = ", cut out of the film as it is"
    return f"{spec.moments}, {spec.size_in_words}{'' if spec.native else resized}"
