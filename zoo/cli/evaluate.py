"""`zoo evaluate`."""

from __future__ import annotations

import click


@click.command(epilog="Example:  zoo evaluate torchvision/r3d_18.k400 --data manifest --set path=films.csv")
@click.argument("model")
@click.option("--data", metavar="SOURCE", help="A source by name; by default the data of the run's own recipe.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Parameters of the source: path=films.csv."
)
@click.option(
    "--split",
    default="val",
    show_default=True,
    type=click.Choice(["train", "val", "test"]),
    help="Which part of the data.",
)
@click.option("--views", type=click.IntRange(min=1), help="Clips per film; by default the recipe's.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Films per batch.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
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

    if overrides and data is None:
        raise click.UsageError("--set gives parameters to a source: say which one with --data")
    metrics = evaluate_saved(
        model, source=data, overrides=overrides, split=split, views=views, batch=batch, device=device
    )
    if as_json:
        click.echo(json.dumps(metrics))
        return
    width = max(len(name) for name in metrics)
    for name, value in metrics.items():
        click.echo(f"{name:{width}}  {value:.4f}" if isinstance(value, float) else f"{name:{width}}  {value}")
