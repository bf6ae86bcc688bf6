"""`zoo verify`."""

from __future__ import annotations

import json

import click

from zoo.cli.columns import print_columns
from zoo.cli.measuring import measures, refuse_lonely_overrides


@click.command(epilog="Example:  zoo verify hf://me/motions --data manifest --set path=films.csv")
@measures
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.005,
    show_default=True,
    help="By how much a number may differ from what is claimed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a claim.")
def verify(
    model: str,
    data: str | None,
    overrides: tuple[str, ...],
    split: str,
    views: int | None,
    batch: int,
    device: str,
    tolerance: float,
    as_json: bool,
) -> None:
    """Measure again what a model claims, and print claimed, measured and difference.

    Exit 1 when a number differs by more than the tolerance.
    """
    from zoo.runner.verify import verify as measure

    refuse_lonely_overrides(data, overrides)
    claims = measure(model, split=split, source=data, overrides=overrides, views=views, batch=batch, device=device)
    if as_json:
        for claim in claims:
            row = {"metric": claim.metric, "claimed": claim.claimed, "measured": claim.measured}
            click.echo(json.dumps({**row, "difference": claim.difference}))
    else:
        rows = [(each.metric, *(f"{value:.4f}" for value in (each.claimed, each.measured)), f"{each.difference:+.4f}")
                for each in claims]  # fmt: skip
        print_columns(("metric", "claimed", "measured", "difference"), rows, right=(1, 2, 3))
    wrong = [claim.metric for claim in claims if not abs(claim.difference) <= tolerance]
    if wrong:
        click.echo(f"{', '.join(wrong)}: off by more than {tolerance:g}", err=True)
        raise click.exceptions.Exit(1)
