"""`zoo models`."""

from __future__ import annotations

import click

from zoo.cli.columns import print_columns
from zoo_registry.entries import ClipSpec
from zoo_registry.errors import UnknownName


@click.command(epilog="Example:  zoo models 'timm/vit_*'")
@click.argument("pattern", default="*")
@click.option("--task", metavar="NAME", help="Only models meant for this task.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of a table.")
def models(pattern: str, task: str | None, as_json: bool) -> None:
    """List models by name.

    PATTERN is a glob on the qualified or the bare name; without one all models are listed, ours and those of installed
    plugins. Nothing is imported but the plugins' declarations.
    """
    from zoo_registry.catalog import catalog

    found = [listed for listed in catalog().list("model", pattern) if task in (None, listed.model.task)]
    if not found and task is not None and any(catalog().list("model", pattern)):
        raise UnknownName(f"no model that matches {pattern!r} is meant for a task {task!r}")
    if not found:
        from zoo_registry.names import nearest

        near = nearest(pattern.rpartition("/")[2], {listed.entry.name for listed in catalog().list("model")})
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UnknownName(f"no model matches {pattern!r}{hint}")
    if as_json:
        import json

        for listed in found:
            entry = listed.model
            tags = [weights.tag for weights in entry.weights]
            row = {"name": listed.name, "task": entry.task, "weights": tags, "summary": entry.summary}
            click.echo(json.dumps(row))
        return
    rows = (
        (
            listed.name,
            listed.model.task,
            ", ".join(weights.tag for weights in listed.model.weights),
            _clip(listed.model.clip),
        )
        for listed in found
    )
    print_columns(("name", "task", "weights", "clip"), rows)


def _clip(spec: ClipSpec | None) -> str:
    """`16x224x224/4`: frames, size and stride."""
    if spec is None:
        return ""
    height, width = spec.height_width
    return f"{spec.frames}x{height}x{width}/{spec.stride}"
