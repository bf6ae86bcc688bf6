"""`zoo pull`."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import click

from zoo.cli.columns import in_bytes, print_columns

_AT_ONCE = 4


@click.command(epilog="Example:  zoo pull hf://me/motions torchvision/r3d_18.k400")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--allow-pickle", is_flag=True, help="Take a pickle where a repository has nothing else; only tensors are read."
)
def pull(names: tuple[str, ...], allow_pickle: bool) -> None:
    """Fetch models, verify them and say where they lie.

    A NAME is hf://org/name[@revision], https://..., file:..., or a model of the catalogue, with a tag or without. What
    is in the cache is verified and not fetched again. One that cannot be had is reported, the others are still fetched,
    and the exit code is 2.
    """
    from zoo.hub.pull import Pulled
    from zoo.hub.pull import pull as pull_one
    from zoo_registry.catalog import catalog
    from zoo_registry.errors import HubError, Problem, ZooError

    for kind in ("fetcher", "model"):
        catalog().list(kind)  # plugins are asked in one thread

    def attempt(name: str) -> Pulled | ZooError:
        try:
            return pull_one(name, allow_pickle=allow_pickle)
        except ZooError as error:
            return error

    with warnings.catch_warnings(record=True) as said, ThreadPoolExecutor(_AT_ONCE) as pool:
        warnings.simplefilter("always")
        wanted = tuple(dict.fromkeys(names))
        results = dict(zip(wanted, pool.map(attempt, wanted), strict=True))
    for warning in said:
        click.echo(f"{click.style('note:', bold=True)} {warning.message}", err=True)
    rows = [
        (name, in_bytes(result.size), result.sha256, result.licence or "unknown", result.path)
        for name, result in results.items()
        if isinstance(result, Pulled)
    ]
    print_columns(("name", "size", "sha256", "licence", "path"), rows, right=(1,))
    problems = [
        Problem(f"{name}: {problem.message}", problem.where, problem.hint)
        for name, result in results.items()
        if isinstance(result, ZooError)
        for problem in result.problems
    ]
    if problems:
        raise HubError(problems)
