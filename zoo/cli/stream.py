"""`zoo stream`."""

from __future__ import annotations

import os
from typing import Literal

import click

_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command(epilog="Example:  zoo stream x3d_xs.k400 camera:0 --stride 8 --budget 400 --out seen.mp4")
@click.argument("model")
@click.argument("source")
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    metavar="N",
    help="Frames from window to window; by default about a third second.",
)
@click.option(
    "--window", type=_POSITIVE, metavar="S", help="Seconds of a window, for models that spread frames over it."
)
@click.option(
    "--drop",
    type=click.Choice(["oldest", "newest", "none"]),
    help="What to give up when windows wait; none lets the source wait.  [oldest; none with --fast]",
)
@click.option(
    "--queue", type=click.IntRange(min=1), default=2, show_default=True, metavar="N", help="Windows that may wait."
)
@click.option("--budget", type=_POSITIVE, metavar="MS", help="What an answer may take; the rest is given up in order.")
@click.option("--fallback", metavar="MODEL", help="A smaller model with the same labels, for when all else is late.")
@click.option("--realtime/--fast", default=True, help="Play a file as it was filmed, or as fast as answers come.")
@click.option("--seconds", type=_POSITIVE, metavar="S", help="How much of the stream to watch.")
@click.option("--out", metavar="FILE", help="Write a film (.mp4, .mkv, .mov) with the answers drawn in.")
@click.option("--show", is_flag=True, help="Show it in a window.")
@click.option("--timeout", type=_POSITIVE, default=10.0, show_default=True, metavar="S", help="To wait for a server.")
@click.option(
    "--reconnect",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Tries to reach a lost source.",
)
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of the model on a processor; by default one core is left to what reads, draws and writes.",
)
def stream(
    model: str,
    source: str,
    stride: int | None,
    window: float | None,
    drop: Literal["oldest", "newest", "none"] | None,
    queue: int,
    budget: float | None,
    fallback: str | None,
    realtime: bool,
    seconds: float | None,
    out: str | None,
    show: bool,
    timeout: float,
    reconnect: int,
    device: str,
    threads: int | None,
) -> None:
    """Say what happens in a film, before a camera or on a stream, while it happens.

    SOURCE is a file, camera:0, or an address (rtsp, rtsps, http, https). Answers are JSON lines on standard output;
    what else there is to know goes to standard error, a summary at the end. When answers are later than --budget
    allows, windows slide further, then get smaller, then --fallback answers; and back when there is room.
    """
    # Threads of OpenMP that wait in a loop take the core from those that read and write. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

    import json

    import torch

    from zoo.runner.device import choose_device
    from zoo.runner.signals import StopSignals
    from zoo.streaming.live import stream as start

    if fallback is not None and budget is None:
        raise click.UsageError("--fallback is for when answers are later than --budget says")
    where = str(choose_device(device))
    if threads is not None or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads or max(1, torch.get_num_threads() - 1))
    with StopSignals() as stop:
        live = start(
            model,
            source,
            stride=stride,
            window=window,
            drop=drop or ("oldest" if realtime else "none"),
            queue=queue,
            budget=budget,
            fallback=fallback,
            real_time=realtime,
            seconds=seconds,
            out=out,
            show=show,
            timeout=timeout,
            reconnect=reconnect,
            device=where,
            say=lambda text: click.echo(text, err=True),
            stopped=lambda: stop.received is not None,
        )
        try:
            with live:
                for answer in live:
                    click.echo(json.dumps(answer.as_json(), ensure_ascii=False))
        finally:
            click.echo(str(live.summary), err=True)
        if stop.received is not None:
            raise stop.interrupted(f"after {live.summary.windows} windows", hint=_whole(out))


def _whole(out: str | None) -> str:
    return f"{out} is whole" if out else "what was printed stands"
