"""The options of commands that measure a model on data: `zoo evaluate` and `zoo verify`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]

_OPTIONS = (
    click.argument("model"),
    click.option("--data", metavar="SOURCE", help="A source by name; by default the data of the run's own recipe."),
    click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Parameters of the source: path=films.csv."
    ),
    click.option(
        "--split",
        default="val",
        show_default=True,
        type=click.Choice(["train", "val", "test"]),
        help="Which part of the data.",
    ),
    click.option("--views", type=click.IntRange(min=1), help="Clips per film; by default the recipe's."),
    click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Films per batch."),
    click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N."),
)


def measures(command: Command) -> Command:
    """Give a command the model and the options that say on what it is measured."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_lonely_overrides(data: str | None, overrides: tuple[str, ...]) -> None:
    """Parameters of a source need a source.

    Raises:
        UsageError: there is none.
    """
    if overrides and data is None:
        raise click.UsageError("--set gives parameters to a source: say which one with --data")
