"""`zoo predict`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from zoo.cli.columns import print_columns


@click.command(epilog="Example:  zoo predict runs/quickstart film.mp4 --views 3")
@click.argument("model")
@click.argument("videos", nargs=-1, required=True)
@click.option(
    "--views", type=click.IntRange(min=1), default=1, help="Clips per film, spread evenly over it and averaged."
)
@click.option(
    "--crops", type=click.Choice(["1", "3"]), default="1", help="Crops per clip: its centre, or both ends besides."
)
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--trust", is_flag=True, help="Open an exported file whose opening runs code of its author.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per film.")
def predict(
    model: str, videos: tuple[str, ...], views: int, crops: str, device: str, trust: bool, as_json: bool
) -> None:
    """Say what is in a film.

    MODEL is a name with weights (torchvision/r3d_18.k400), a run, a model folder, an exported file (model.onnx),
    file:... or hf://org/repo. A film that cannot be decoded is reported, the others are still predicted, and the exit
    code is 2.
    """
    import json

    from zoo.export import device_for
    from zoo.model import load
    from zoo.runner.device import choose_device
    from zoo_registry.errors import DataError, Problem

    loaded = load(model, device=str(choose_device(device_for(model, device))), trust=trust)
    problems: list[Problem] = []
    rows: list[list[str]] = []
    for video in videos:
        try:
            (row,) = loaded.predict(video, views=views, crops=1 if crops == "1" else 3)
        except DataError as error:
            problems.extend(error.problems)
            continue
        if as_json:
            click.echo(json.dumps({"video": video, **row}))
        else:
            rows.append([video, *_cells(row)])
    if rows:
        print_columns(["video", *_head(row)], rows)
    if problems:
        raise DataError(problems)


def _cells(row: Mapping[str, Any]) -> list[str]:
    """What was predicted of one film, a cell for each value and for each place of a ranking."""
    return [_word(item) for value in row.values() for item in (value if isinstance(value, list) else [value])]


def _head(row: Mapping[str, Any]) -> list[str]:
    """The names of those cells: `top5 1`, `top5 2`, ..."""
    return [
        f"{name} {place}" if isinstance(value, list) else name
        for name, value in row.items()
        for place, _ in enumerate(value if isinstance(value, list) else [value], 1)
    ]


def _word(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(map(_word, value.values()))
    return f"{value:.3f}" if isinstance(value, float) else str(value)
