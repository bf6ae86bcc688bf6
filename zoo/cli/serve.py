"""`zoo serve`."""

from __future__ import annotations

import os
import re

import click

_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TIMES = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0}


class _Quantity(click.ParamType[float]):
    """A number above 0 with a unit."""

    def __init__(self, name: str, units: dict[str, float], examples: str) -> None:
        self.name, self._units, self._examples = name, units, examples

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number in the unit that counts one."""
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower())
        if match is None or match[2] not in self._units:
            self.fail(f"{value!r} is no {self.name}, such as {self._examples}", param, ctx)
        return float(match[1]) * self._units[match[2]]


_SIZE = _Quantity("size", {**_SIZES, **{f"{unit}b": factor for unit, factor in _SIZES.items()}}, "64M or 1G")
_TIME = _Quantity("time", _TIMES, "10ms or 30s")


@click.command(epilog="Example:  zoo serve runs/quickstart --port 8080 --max-size 16M")
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is seen by others.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--max-batch", type=click.IntRange(min=1), default=8, show_default=True, help="Films asked about at once."
)
@click.option(
    "--max-wait", type=_TIME, default="10ms", show_default=True, help="For others to be asked about together."
)
@click.option(
    "--queue", type=click.IntRange(min=1), default=64, show_default=True, metavar="N",
    help="Requests at a time, uploading, waiting or being answered; more get a 429.",
)  # fmt: skip
@click.option("--max-size", type=_SIZE, default="64M", show_default=True, help="Of a film.")
@click.option("--max-duration", type=_TIME, default="60s", show_default=True, help="Of a film.")
@click.option("--max-pixels", type=click.IntRange(min=1), default=4096 * 4096, show_default=True, help="Of a picture.")
@click.option(
    "--timeout", type=_TIME, default="30s", show_default=True, help="From request to answer; then it is a 503."
)
@click.option("--decode-timeout", type=_TIME, default="10s", show_default=True, help="For decoding one film.")
@click.option(
    "--allow-url", "allow_urls", multiple=True, metavar="HOST",
    help="Fetch films from it when asked to: films.org, *.films.org, https://films.org:8443. Repeatable.",
)  # fmt: skip
@click.option("--allow-private", is_flag=True, help="Let those hosts be on a private network, or this machine.")
@click.option(
    "--views", type=click.IntRange(min=1), default=1, help="Clips per film, spread evenly over it and averaged."
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N",
    help="Processes that decode; by default one for each core, from 2 to 4.",
)  # fmt: skip
@click.option("--trust", is_flag=True, help="Open exported files also where that runs code of their author.")
@click.option("--title", help="Heading of the page; by default the model's name.")
def serve(
    model: str,
    host: str,
    port: int,
    device: str,
    max_batch: int,
    max_wait: float,
    queue: int,
    max_size: float,
    max_duration: float,
    max_pixels: int,
    timeout: float,
    decode_timeout: float,
    allow_urls: tuple[str, ...],
    allow_private: bool,
    views: int,
    workers: int | None,
    trust: bool,
    title: str | None,
) -> None:
    """Answer films that are posted to an address.

    MODEL is a name with weights, a run, a model folder, an exported file, file:... or hf://org/repo. POST /predict
    takes a film as a form or as the body and gives JSON; / is a page to drop a film on, /docs says the rest. SIGTERM or
    Ctrl-C ends it when what was begun is answered.
    """
    # Threads of OpenMP that wait in a loop take the core from those that decode. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

    from zoo.serving.limits import Limits
    from zoo.serving.server import log_to
    from zoo.serving.server import serve as start

    def say(text: str) -> None:
        click.echo(text, err=True)

    limits = {
        "size": int(max_size), "duration": max_duration, "pixels": max_pixels, "decode": decode_timeout,
        "timeout": timeout, "queue": queue, "batch": max_batch, "wait": max_wait,
    } | ({} if workers is None else {"workers": workers})  # fmt: skip
    log_to(say)
    start(
        model,
        host=host,
        port=port,
        device=device,
        limits=Limits(**limits),  # type: ignore[arg-type]
        views=views,
        allow_urls=allow_urls,
        allow_private=allow_private,
        title=title,
        trust=trust,
        say=say,
    )
