"""`zoo bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zoo.benchmark import Row


@click.command(epilog="Example:  zoo bench runs/quickstart --backend torch,onnx,onnx:int8=static --film a.mp4")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--backend",
    default="torch",
    show_default=True,
    help="Some of torch, compile, and exporters by name, with parameters or without: torch,onnx:int8=static.",
)
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16, or both: fp32,bf16.")
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Clips at once.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the processor; by default as torch counts.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Timed calls of each row.",
)
@click.option("--film", "films", multiple=True, metavar="FILM", help="Show clips of this film, instead of noise.")
@click.option("--trust", is_flag=True, help="Open files whose opening runs code of their author.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per row.")
def bench(
    models: tuple[str, ...],
    backend: str,
    precision: str,
    device: str,
    batch: int,
    threads: int | None,
    seconds: float,
    films: tuple[str, ...],
    trust: bool,
    as_json: bool,
) -> None:
    """Measure models side by side: speed, memory, and how far they are from torch in float32.

    MODEL is what `zoo predict` takes. An exported file runs as it is, and is compared with nothing. Rows take turns on
    the same clips.
    """
    import json
    import math
    from dataclasses import asdict

    import torch

    from zoo.benchmark import backend_of, table
    from zoo.benchmark import bench as measure
    from zoo.benchmark.side import PRECISIONS
    from zoo.benchmark.side_by_side import Settings
    from zoo.runner.device import choose_device
    from zoo.runner.progress import Progress

    precisions, named = _parts(precision), _parts(backend)
    for option, given in (("--backend", named), ("--precision", precisions)):
        if not given:
            raise click.BadParameter("it names nothing", param_hint=option)
    if not math.isfinite(seconds):
        raise click.BadParameter(f"{seconds} is no number of seconds", param_hint="--seconds")
    if unknown := [each for each in precisions if each not in PRECISIONS]:
        raise click.BadParameter(
            f"{', '.join(unknown)}: it is {' or '.join(PRECISIONS)}; int8 is a parameter of an exporter "
            "(--backend onnx:int8=static)",
            param_hint="--precision",
        )
    backends = [backend_of(each) for each in named]
    where, count = str(choose_device(device)), threads or torch.get_num_threads()
    settings = Settings(where, count, batch, seconds, films, trust)
    with Progress(quiet=as_json) as progress:
        rows = measure(models, backends, precisions, settings, progress=progress.say)
    if as_json:
        for row in rows:
            click.echo(json.dumps(asdict(row)))
        return
    _print(rows)
    click.echo(table(rows, device=where, threads=count, films=len(films)).note, err=True)


def _parts(text: str) -> list[str]:
    from zoo.recipe.brackets import split_outside

    return [part.strip() for part in split_outside(text, ",") if part.strip()]


def _print(rows: list[Row]) -> None:
    from zoo.benchmark.bench_table import COLUMNS
    from zoo.cli.columns import in_bytes, print_columns

    cells = [
        [
            row.model, row.backend, row.precision, row.batch, f"{row.p50_ms:.2f}", f"{row.p95_ms:.2f}",
            f"{row.clips_per_s:.2f}", None if row.peak_bytes is None else in_bytes(row.peak_bytes),
            None if row.file_bytes is None else in_bytes(row.file_bytes),
            None if row.agreement is None else f"{row.agreement:.3f}",
            None if row.difference is None else f"{row.difference:.2g}", f"{row.ratio:.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    print_columns(COLUMNS, cells, right=range(3, len(COLUMNS)))
