"""`zoo predict`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click


@click.command(epilog="Example:  zoo predict runs/quickstart film.mp4 --views 3")
@click.argument("model")
@click.argument("videos", nargs=-1, required=True)
@click.option(
    "--views", type=click.IntRange(min=1), default=1, help="Clips per film, spread evenly over it and averaged."
)
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per film.")
def predict(model: str, videos: tuple[str, ...], views: int, device: str, as_json: bool) -> None:
    """Say what is in a film.

    MODEL is a name with weights (torchvision/r3d_18.k400), a run, a model folder, file:... or hf://org/repo. A film
    that cannot be decoded is reported, the others are still predicted, and the exit code is 2.
    """
    import json

    from zoo.model import load
    from zoo.runner.device import choose_device
    from zoo_registry.errors import DataError, Problem

    loaded = load(model, device=str(choose_device(device)))
    problems: list[Problem] = []
    for video in videos:
        try:
            (row,) = loaded.predict(video, views=views)
        except DataError as error:
            problems.extend(error.problems)
            continue
        click.echo(json.dumps({"video": video, **row}) if as_json else _line(video, row))
    if problems:
        raise DataError(problems)


def _line(video: str, row: Mapping[str, Any]) -> str:
    """One film as text: the values of the row, likeliest first where it is a ranking."""
    parts = []
    for value in row.values():
        if isinstance(value, list):
            parts += [
                " ".join(_word(cell) for cell in item.values()) if isinstance(item, Mapping) else _word(item)
                for item in value
            ]
        else:
            parts.append(_word(value))
    return f"{video}\t" + "\t".join(parts)


def _word(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
