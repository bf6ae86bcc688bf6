"""`zoo evaluate`."""

from __future__ import annotations

import click

from zoo.cli.measuring import measures, refuse_lonely_overrides


@click.command(epilog="Example:  zoo evaluate torchvision/r3d_18.k400 --data manifest --set path=films.csv")
@measures
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    model: str,
    data: str | None,
    overrides: tuple[str, ...],
    split: str,
    views: int | None,
    batch: int,
    device: str,
    as_json: bool,
) -> None:
    """Measure a model or a run on a split of data."""
    import json

    from zoo.runner.evaluate_saved import evaluate_saved

    refuse_lonely_overrides(data, overrides)
    metrics = evaluate_saved(
        model, source=data, overrides=overrides, split=split, views=views, batch=batch, device=device
    )
    if as_json:
        click.echo(json.dumps(metrics))
        return
    width = max(len(name) for name in metrics)
    for name, value in metrics.items():
        click.echo(f"{name:{width}}  {value:.4f}" if isinstance(value, float) else f"{name:{width}}  {value}")
