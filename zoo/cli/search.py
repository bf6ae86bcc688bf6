"""`zoo search`."""

from __future__ import annotations

import click

from zoo.cli.columns import print_columns


@click.command(epilog="Example:  zoo search videomae --licence apache-2.0 --max-params 100")
@click.argument("words", nargs=-1, required=True)
@click.option("--task", metavar="NAME", help="Only models meant for this task.")
@click.option("--licence", "--license", metavar="SPDX", help="Only weights under this licence.")
@click.option("--max-params", type=click.FloatRange(min=0), metavar="MILLIONS", help="At most so many parameters.")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="Most rows from the Hub.")
@click.option("--local", is_flag=True, help="Do not ask the Hub.")
def search(
    words: tuple[str, ...], task: str | None, licence: str | None, max_params: float | None, limit: int, local: bool
) -> None:
    """Find models by words, here and on the Hub.

    All WORDS have to occur. Models of installed plugins come first, then what the Hub lists, the most downloaded first.
    When the Hub cannot be asked, the local part is shown and a line says so.
    """
    from zoo.hub.client import Unreachable
    from zoo.hub.search import Query, in_catalogue, on_hub
    from zoo_registry.catalog import catalog

    if task is not None:
        catalog().resolve("task", task)
    query = Query(words, task, licence, None if max_params is None else max_params * 1e6)
    found = in_catalogue(query)
    if not local:
        try:
            found += on_hub(query, limit=limit)
        except Unreachable as error:
            click.echo(f"only what is installed here: {error.problems[0].message}", err=True)
    rows = [
        (each.name, each.task, _millions(each.parameters), each.licence or "unknown", each.summary) for each in found
    ]
    print_columns(("name", "task", "params", "licence", "what it is"), rows, right=(2,))
    if not found:
        click.echo("nothing was found; fewer words find more", err=True)


def _millions(parameters: int | None) -> str | None:
    return None if parameters is None else f"{parameters / 1e6:.2f} M"
