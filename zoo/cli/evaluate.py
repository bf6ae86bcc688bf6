"""`zoo evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.cli import example


@click.command(**example("zoo evaluate torchvision/r3d_18.k400 --data manifest --set path=films.csv"))
@click.argument("model")
@click.option("--data", metavar="SOURCE", help="A source by name; by default the data of the run's own recipe.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Parameters of the source: path=films.csv.")
@click.option("--split", default="val", show_default=True, type=click.Choice(["train", "val", "test"]), help="Which part of the data.")
@click.option("--views", type=click.IntRange(min=1), help="Clips per film; by default the recipe's.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Films per batch.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    model: str, data: str | None, overrides: tuple[str, ...], split: str, views: int | None, batch: int, device: str, as_json: bool
) -> None:
    """Measure a model or a run on a split of data."""
    import json

    from zoo.runner.evaluation import evaluate_model

    params = _parse(overrides)
    metrics = evaluate_model(model, source=data, params=params, split=split, views=views, batch=batch, device=device, base=Path.cwd())
    if as_json:
        click.echo(json.dumps(metrics))
        return
    width = max(len(name) for name in metrics)
    for name, value in metrics.items():
        click.echo(f"{name:{width}}  {value:.4f}" if isinstance(value, float) else f"{name:{width}}  {value}")


def _parse(overrides: tuple[str, ...]) -> dict[str, Any]:
    """`key=value` with YAML values."""
    from zoo.recipe import parse_value

    params = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--set {text}: write KEY=VALUE")
        params[key] = parse_value(value)
    return params
