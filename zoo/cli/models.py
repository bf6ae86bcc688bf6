"""`zoo models`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.columns import print_columns
from zoo_registry.entries import ClipSpec, Model
from zoo_registry.errors import UnknownName
from zoo_registry.licences import is_non_commercial

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed

_SORTS = ("name", "params", "gmacs")


@click.command(epilog="Example:  zoo models --sort params --task classification --max-gmacs 10")
@click.argument("pattern", default="*")
@click.option("--task", metavar="NAME", help="Only models meant for this task.")
@click.option("--sort", type=click.Choice(_SORTS), default="name", help="Order; unknown numbers come last.")
@click.option("--max-params", type=click.FloatRange(min=0), metavar="MILLIONS", help="At most so many parameters.")
@click.option("--max-gmacs", type=click.FloatRange(min=0), metavar="N", help="At most so many GMACs a clip.")
@click.option("--licence", "--license", is_flag=True, help="Show the licences of the published weights.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of a table.")
def models(
    pattern: str,
    task: str | None,
    sort: str,
    max_params: float | None,
    max_gmacs: float | None,
    licence: bool,
    as_json: bool,
) -> None:
    """List models by name.

    PATTERN is a glob on the qualified or the bare name; without one all models are listed, ours and those of installed
    plugins. Nothing is imported but the plugins' declarations. Parameters are counted with 400 classes, GMACs for one
    clip; where a plugin does not declare them, `zoo show NAME` counts.
    """
    found = _matching(pattern, task)
    limits = {"parameters": max_params and max_params * 1e6, "gmacs": max_gmacs}
    kept = [listed for listed in found if all(_within(listed.model, field, most) for field, most in limits.items())]
    if sort != "name":
        kept.sort(key=lambda listed: _number(listed.model, "parameters" if sort == "params" else sort))
    if as_json:
        import json

        for listed in kept:
            click.echo(json.dumps(_row(listed)))
    else:
        head = ("name", "task", "weights", "clip", "params", "GMACs", *(("licence",) if licence else ()))
        print_columns(head, (_cells(listed, licence=licence) for listed in kept), right=(4, 5))
    _say_unknown(found, limits)


def _matching(pattern: str, task: str | None) -> list[Listed]:
    """The models of that name and task.

    Raises:
        UnknownName: there is none; has the nearest names.
    """
    from zoo_registry.catalog import catalog
    from zoo_registry.names import nearest

    found = [listed for listed in catalog().list("model", pattern) if task in (None, listed.model.task)]
    if found:
        return found
    if task is not None and any(catalog().list("model", pattern)):
        tasks = dict.fromkeys(listed.model.task for listed in catalog().list("model", pattern))
        near = nearest(task, tasks)
        hint = f"did you mean {' or '.join(near)}?" if near else f"they are meant for {', '.join(sorted(tasks))}"
        raise UnknownName(f"no model that matches {pattern!r} is meant for a task {task!r}", hint=hint)
    near = nearest(pattern.rpartition("/")[2], {listed.entry.name for listed in catalog().list("model")})
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise UnknownName(f"no model matches {pattern!r}{hint}")


def _within(model: Model, field: str, most: float | None) -> bool:
    value = getattr(model, field)
    return most is None or (value is not None and value <= most)


def _number(model: Model, field: str) -> float:
    value: float | None = getattr(model, field)
    return math.inf if value is None else value


def _say_unknown(found: list[Listed], limits: dict[str, float | None]) -> None:
    """How many models were left out because nobody declares what was asked for."""
    asked = [field for field, most in limits.items() if most is not None]
    unknown = sum(any(getattr(listed.model, field) is None for field in asked) for listed in found)
    if unknown:
        click.echo(f"{unknown:,} models do not declare {' and '.join(asked)} and were left out", err=True)


def _row(listed: Listed) -> dict[str, Any]:
    model = listed.model
    return {
        "name": listed.name,
        "task": model.task,
        "weights": [weights.tag for weights in model.weights],
        "licences": [weights.licence for weights in model.weights],
        "parameters": model.parameters,
        "gmacs": model.gmacs,
        "summary": model.summary,
    }


def _cells(listed: Listed, *, licence: bool) -> tuple[object, ...]:
    model = listed.model
    tags = ", ".join(weights.tag for weights in model.weights)
    parameters = None if model.parameters is None else f"{model.parameters / 1e6:.2f} M"
    gmacs = None if model.gmacs is None else f"{model.gmacs:.2f}"
    cells = (listed.name, model.task, tags, _clip(model.clip), parameters, gmacs)
    return (*cells, ", ".join(_licences(model))) if licence else cells


def _licences(model: Model) -> list[str]:
    """The licences of the published weights, each once, those that forbid commercial use marked."""
    found = dict.fromkeys(weights.licence for weights in model.weights)
    return [f"{name or 'unknown'}{' (no commercial use)' if is_non_commercial(name) else ''}" for name in found]


def _clip(spec: ClipSpec | None) -> str:
    """`16x224x224/4`: frames, size and stride."""
    if spec is None:
        return ""
    size = spec.size if spec.native else "{}x{}".format(*spec.height_width)
    return f"{spec.frames}x{size}/{spec.stride}"
