"""`zoo compress`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from zoo.cli.recipe import overrides
from zoo.cli.run import print_summary, print_table

if TYPE_CHECKING:
    from zoo.compress.search import Cost
    from zoo.compress.strategy_words import StrategyWords

_COSTS = ("latency", "bytes", "gmacs", "parameters", "memory")


@click.command(epilog="Example:  zoo compress runs/quickstart --with prune_magnitude:amount=0.5 --with cast_bf16")
@click.argument("target", metavar="RECIPE|RUN")
@click.option(
    "--with",
    "strategies",
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="A strategy and its parameters; several are applied in order. `zoo show compression NAME` says what it takes.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    metavar="X",
    help="How much worse than the original's the task's monitored metric may be after the last strategy.",
)
@overrides
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the result; by default a new one below runs/.")
@click.option(
    "--search",
    type=click.Choice(["grid", "tpe"]),
    help="Try many ways: parameters may be ranges (amount=0.2..0.8) or choices (calibrator=max|entropy), and a "
    "strategy with ? before its name may be left out. grid tries everything, tpe what looks promising (optuna).",
)
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Try at most so many; tpe: 20 by default.")
@click.option(
    "--steps", type=click.IntRange(min=2), default=3, show_default=True, help="Values a grid tries of a range."
)
@click.option(
    "--cost", type=click.Choice(_COSTS), default="latency", show_default=True, help="What a search makes small."
)
def compress(
    target: str,
    strategies: tuple[str, ...],
    max_drop: float | None,
    overrides: tuple[str, ...],
    out: Path | None,
    search: Literal["grid", "tpe"] | None,
    trials: int | None,
    steps: int,
    cost: Cost,
) -> None:
    """Make a model smaller or faster, measured before and after every strategy.

    Of a RUN its trained model is compressed, into a run of its own; --set 'export=[onnx]' writes files of it too. A
    RECIPE is trained first. With --search many ways
    are tried, and those that no other beats in quality and cost are left as recipes.
    """
    from zoo.compress.strategy_words import parse_strategy

    words = [parse_strategy(text) for text in strategies]
    if not words:
        raise click.UsageError("say --with what, such as --with prune_magnitude:amount=0.5")
    if search is not None:
        _search(target, words, overrides, out, search, trials, steps, cost, max_drop)
        return
    if any(each.is_space for each in words):
        raise click.UsageError("ranges, choices and ? are for --search grid or --search tpe")
    from zoo.runner.stages import run

    slots: list[dict[str, Any]] = [each.slot() for each in words]
    if max_drop is not None:
        slots[-1]["max_drop"] = max_drop
    result = run(target, [*_from_run(target), *overrides, f"compress={json.dumps(slots)}"], out=out)
    print_summary(result.summary)
    for table in result.tables:
        print_table(table)
    click.echo(f"\nreport  {result.folder / 'report.html'}")


def _search(
    target: str,
    space: Sequence[StrategyWords],
    overrides: Sequence[str],
    out: Path | None,
    sampler: Literal["grid", "tpe"],
    trials: int | None,
    steps: int,
    cost: Cost,
    max_drop: float | None,
) -> None:
    from zoo.recipe import load_recipe, resolve_recipe
    from zoo.runner.compression_search import CompressionSearch
    from zoo.runner.folder import RunFolder
    from zoo.runner.progress import Progress
    from zoo.runner.signals import sigterm_raises
    from zoo.runner.stages import run

    folder = out or RunFolder.fresh("search")
    if not _is_run(target):
        trained = run(target, [*overrides, "compress=[]", "export=[]", "publish=null"], out=folder / "original")
        target, overrides = str(trained.folder), ()
    loaded = resolve_recipe(load_recipe(target, [*_from_run(target), *overrides, "compress=[]", "export=[]"]))
    with Progress() as progress, sigterm_raises():
        result = CompressionSearch(
            loaded, space, folder, progress, sampler=sampler, trials=trials, steps=steps, cost=cost, max_drop=max_drop
        ).run()
    print_table(result.table)
    failed = sum(not trial.worked for trial in result.trials)
    if failed:
        click.echo(f"\n{failed} of {len(result.trials)} ways failed, see {result.folder / 'report.html'}")
    click.echo(f"\nreport  {result.folder / 'report.html'}")


def _is_run(target: str) -> bool:
    from zoo.runner.folder import RunFolder

    folder = RunFolder(target.removeprefix("file:"))
    return folder.recipe.is_file() and folder.model.is_dir()


def _from_run(target: str) -> list[str]:
    """What starts a run's recipe from its trained model, and does nothing else of it; nothing for a recipe."""
    if not _is_run(target):
        return []
    path = Path(target.removeprefix("file:")).resolve()
    return [f"model.weights=file:{path}", "run.epochs=0", "export=[]", "publish=null"]
